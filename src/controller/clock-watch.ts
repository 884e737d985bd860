import type { Clock } from './clock.js'

/** A clock that differs from the monotonic one by more than this between two looks was set. */
const jumpSeconds = 2

/** Notices when the clock of the machine is set. */
export class ClockWatch {
  #offset: number | undefined

  constructor(readonly clock: Pick<Clock, 'now' | 'monotonic'>) {}

  /** By how many seconds the clock was set since the last call, rounded: below 0 when it was set back, 0 when it was not. */
  jump(): number {
    const offset = this.clock.now() - this.clock.monotonic()
    const jump = this.#offset === undefined ? 0 : offset - this.#offset
    this.#offset = offset
    return Math.abs(jump) > jumpSeconds ? Math.round(jump) : 0
  }
}
