/** What the log says of drift: each time at first, and once a minute when it happens again and again. */
import type { Reconciliation } from '../../nft/index.js'
import { count } from '../../util/index.js'
import type { Since } from './generation-clock.js'
import type { Log } from '../report/log-interface.js'

/** Drift is in a row with the one before when less than this is between them. */
export const calmMilliseconds = 10_000
/** So many in a row are logged each, after that all together, once a minute. */
const loggedEach = 5
const minuteMilliseconds = 60_000

export class DriftLog {
  /** How often drift was found and undone. */
  count = 0
  /** How long the rules were not as they should be, at most, in all. */
  seconds = 0
  /** How many times in a row. */
  row = 0
  #last = -Infinity
  #sinceSummary = 0
  #lastSummary = -Infinity
  #lastError = -Infinity

  constructor(readonly log: Log) {}

  /** There was no drift this time; `restored` grants came back that an earlier one had ended. */
  nothing(restored: number): void {
    if (restored > 0)
      this.log.info(`${count(restored, 'grant')} restored, later than the rules`, { event: 'healed', restored })
    if (performance.now() - this.#last > calmMilliseconds) this.row = 0
  }

  /** `by` is the process that caused it, empty when unknown; `since` the change before which all was well. */
  restored({ drift, restored, at }: Reconciliation, by: string, since: Since): void {
    const now = performance.now()
    this.row = now - this.#last > calmMilliseconds ? 1 : this.row + 1
    this.#last = now
    this.count++
    const sinceTime = (time: number) => Math.max(0, Math.round((at ?? now) - time))
    const took = sinceTime(since.after)
    this.seconds += took / 1000
    const fields = { event: 'healed', damages: drift, restored, milliseconds: took, ...(by ? { by } : {}) }
    const whose = by === '' ? 'another program' : by
    const what = drift.slice(0, 5).join(', ') + (drift.length > 5 ? ' and more' : '')
    this.log[this.row <= loggedEach ? 'warn' : 'debug'](
      `${what} by ${whose}; restored ${sinceTime(since.noticed)} ms after pkctld noticed, at most ${took} ms after the change, with ${count(restored, 'grant')}`,
      fields,
    )
    if (this.row <= loggedEach) return
    this.#sinceSummary++
    if (now - this.#lastSummary < minuteMilliseconds) return
    this.log.warn(
      `the rules keep being changed, last by ${whose}: restored ${count(this.#sinceSummary, 'more time')}; two programs that both manage the ruleset should not fight`,
      fields,
    )
    this.#sinceSummary = 0
    this.#lastSummary = now
  }

  /** Their sources have to knock again, or to be added again. */
  givenUp(grants: number): void {
    if (grants === 0) return
    this.log.warn(
      `${count(grants, 'grant')} could not be restored, because nft is too slow or refuses them; their sources must knock again`,
      { event: 'healed', givenUp: grants },
    )
  }

  /** Logs an error, at most one a minute. */
  error(message: string): void {
    const now = performance.now()
    if (now - this.#lastError < minuteMilliseconds) return
    this.#lastError = now
    this.log.error(message)
  }
}
