/** A change that waits to be confirmed, as others see it: the process that would roll it back answers at a socket. */
import { ask, rollbackDirectory } from '../util/index.js'

export const rollbackSocket = `${rollbackDirectory}/rollback.sock`

export const rollbackRequests = ['confirm', 'roll back', 'show'] as const

/** Its answer to `show` and `confirm`. */
export interface Waiting {
  /** Whole seconds until the change is rolled back. */
  readonly secondsLeft: number
}

/** It answers at once, also while it rolls back; on a busy machine, that takes some seconds. */
const answerMilliseconds = 10_000

/** Rejects with the system's error when there is no process, and with ETIMEDOUT when it stands still. */
export const askWhatWaits = () => ask(rollbackSocket, { request: 'show' }, answerMilliseconds)

export const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code

/** In how many seconds a change is rolled back, or that the process which would do so stands still. */
export type Unconfirmed = number | 'silent'

/** Undefined where no change waits, and for users other than root. */
export async function unconfirmedChange(): Promise<Unconfirmed | undefined> {
  return askWhatWaits().then(
    answer => (answer.ok ? (answer.result as Waiting).secondsLeft : undefined),
    (error: unknown) => (codeOf(error) === 'ETIMEDOUT' ? 'silent' : undefined),
  )
}
