/** A change that waits to be confirmed, as others see it: the process that would roll it back answers at a socket. */
import { ask, rollbackDirectory } from '../util/index.js'

export const rollbackSocket = `${rollbackDirectory}/rollback.sock`

export const rollbackRequests = ['confirm', 'roll back', 'show'] as const

/** Its answer to `show` and `confirm`. */
export interface Waiting {
  /** Whole seconds until the change is rolled back. */
  readonly secondsLeft: number
}

/** In how many seconds a change is rolled back; undefined where none waits, and for users other than root. */
export async function unconfirmedSeconds(): Promise<number | undefined> {
  return ask(rollbackSocket, { request: 'show' }).then(
    answer => (answer.ok ? (answer.result as Waiting).secondsLeft : undefined),
    () => undefined,
  )
}
