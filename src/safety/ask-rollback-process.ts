/** A change that waits to be confirmed, as others see it: the process that would roll it back answers at a socket. */
import type { Answer } from '../util/index.js'
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

/** Lets it go on. */
export const goOn = 'pkill -CONT -x pkctl-rollback'

/** Whether the error says that there is no process; after any other one, such as EAGAIN of a full queue, there may be one. */
export const isNoProcess = (error: unknown): boolean => ['ENOENT', 'ECONNREFUSED'].includes(codeOf(error) ?? '')

/** Undefined where no change waits, and for users other than root. */
export async function unconfirmedChange(
  asking: () => Promise<Answer> = askWhatWaits,
): Promise<Unconfirmed | undefined> {
  return asking().then(
    answer => (answer.ok ? (answer.result as Waiting).secondsLeft : undefined),
    (error: unknown) => (isNoProcess(error) || isForRoot(error) ? undefined : 'silent'),
  )
}

const isForRoot = (error: unknown): boolean => codeOf(error) === 'EACCES' && process.geteuid?.() !== 0
