/**
 * Has the table reconciled, one time after the other; with pauses when that is wanted again and again, or fails. It never
 * gives up.
 */
import type { Reconciliation } from '../../nft/index.js'
import type { DriftLog } from './drift-log.js'
import type { GenerationClock, Since } from './generation-clock.js'
import { isUpTo } from './generation-clock.js'
import type { Timers } from '../timers.js'

/** Compares and restores; `queueRule`: the rule in iptables' mangle table as well. */
export type Reconcile = (queueRule: boolean) => Promise<Reconciliation>

/** So many times in a row there is no pause, after that one that doubles. */
const withoutPause = 20
const firstPauseMilliseconds = 25
const longestPauseMilliseconds = 2000

interface ReconcileLoopParts {
  readonly reconcile: Reconcile
  /** Lets what waits within a reconciliation under way, but for the rules, be left to the next one. */
  readonly interrupt: () => void
  readonly clock: GenerationClock
  readonly report: DriftLog
  readonly timers: Timers
}

export class ReconcileLoop {
  #running = false
  #busy = false
  #failures = 0
  #wanted: { readonly queueRule: boolean; readonly by: string; readonly since: Since } | undefined
  /** What a comparison has seen, that is under way or was made; and whether it saw the rule in the mangle table. */
  #compared: { readonly generation: number | undefined; readonly queueRule: boolean } | undefined
  /** Who deleted the table, once the monitor has come to the end of that transaction. */
  #deletedBy = ''
  readonly #parts: ReconcileLoopParts

  constructor(parts: ReconcileLoopParts) {
    this.#parts = parts
  }

  start(): void {
    this.#running = true
  }

  /** Starts no other one. */
  stop(): void {
    this.#running = false
  }

  /** Wants one that sees all that happened until now. `by` is who changed something, empty where unknown. */
  want(queueRule: boolean, by: string, since: Since = rightNow()): void {
    const { by: earlierBy = '', queueRule: also = false, since: earlier = since } = this.#wanted ?? {}
    const who = by === '' ? earlierBy : by
    this.#wanted = { queueRule: queueRule || also, by: who, since: earlierOf(since, earlier) }
    // What still waits for the monitor to restore grants must not keep a table from being restored.
    this.#parts.interrupt()
    if (!this.#busy) void this.#reconcileWanted()
  }

  /** The monitor reports that the table was deleted. */
  deleted(by: string): void {
    if (this.#deletedBy === '') this.#deletedBy = by
  }

  /** Takes note of a reconciliation that came before something else was done. */
  reconciled(reconciliation: Reconciliation): void {
    const { clock, report } = this.#parts
    const { by = '', since = clock.oldestSince ?? rightNow() } = this.#wanted ?? {}
    if (reconciliation.drift.length > 0) report.restored(reconciliation, by, since)
  }

  /** Whether a comparison has seen the ruleset of this generation. */
  hasSeen(generation: number | undefined, queueRule: boolean): boolean {
    const { generation: seen, queueRule: withRule = false } = this.#compared ?? {}
    return generation !== undefined && seen !== undefined && isUpTo(generation, seen) && (withRule || !queueRule)
  }

  /** One reconciliation at a time; what is reported meanwhile makes for another one. */
  async #reconcileWanted(): Promise<void> {
    const { reconcile, clock, report, timers } = this.#parts
    this.#busy = true
    while (this.#wanted && this.#running) {
      const { queueRule, by, since } = this.#wanted
      this.#wanted = undefined
      this.#deletedBy = ''
      this.#compared = { generation: clock.current, queueRule }
      try {
        const reconciliation = await reconcile(queueRule)
        this.#failures = 0
        if (reconciliation.drift.length > 0) report.restored(reconciliation, by || this.#deletedBy, since)
        else report.nothing(reconciliation.restored)
        report.givenUp(reconciliation.givenUp ?? 0)
      } catch (error) {
        this.#failures++
        this.#compared = undefined
        report.error(`the rules could not be restored; pkctld tries again: ${(error as Error).message}`)
        this.want(queueRule, by, since)
      }
      const pause = pauseAfter(Math.max(report.row - withoutPause, this.#failures))
      if (pause > 0) await new Promise<void>(done => timers.later(pause, done))
    }
    this.#busy = false
  }
}

const rightNow = (): Since => ({ after: performance.now(), noticed: performance.now() })

const earlierOf = (one: Since, other: Since): Since => ({
  after: Math.min(one.after, other.after),
  noticed: Math.min(one.noticed, other.noticed),
})

const pauseAfter = (times: number): number =>
  times <= 0 ? 0 : Math.min(longestPauseMilliseconds, firstPauseMilliseconds * 2 ** Math.min(times - 1, 20))
