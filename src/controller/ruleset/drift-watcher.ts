/**
 * Watches the ruleset, and has it reconciled when another program changes what pkctl made. Whether a change was pkctl's own
 * is for the reconciler to see.
 */
import type { GrantTracker, Monitor, Reconciler, Reconciliation, RulesetTransaction, Watch } from '../../nft/index.js'
import { tableName } from '../../nft/index.js'
import type { RulesetQuestions } from '../../queue/index.js'
import { concernsQueueRule, concernsTable, deletesTable } from './drift-events.js'
import { calmMilliseconds, DriftLog } from './drift-log.js'
import { GenerationClock } from './generation-clock.js'
import type { Log } from '../report/log-interface.js'
import type { Reconcile } from './reconcile-loop.js'
import { ReconcileLoop } from './reconcile-loop.js'
import { RunningGrants } from '../grants/running-grants.js'
import { Timers } from '../timers.js'

export interface ReconcileParts {
  readonly reconciler: Reconciler
  readonly tracker: GrantTracker
  readonly watch: Watch
  readonly questions: RulesetQuestions
}

/** A monitor that ended is started again after this; when it lasted for less than `calm`, after twice the time as before. */
const firstRestartMilliseconds = 100
const longestRestartMilliseconds = 10_000

/** How long to wait for more after a transaction of which nothing is shown. */
const unknownMilliseconds = 100

export class DriftWatcher {
  /** Why drift may not be noticed at once: at the start, and from the end of a monitor until another one sees. */
  unwatchedBecause: string | undefined = 'it has just started, and does not know yet which grants run'
  #onWatched: () => void = () => undefined
  readonly #report: DriftLog
  readonly #clock: GenerationClock
  readonly #timers = new Timers()
  readonly #loop: ReconcileLoop
  readonly #grants: RunningGrants
  #monitor: Monitor | undefined
  #monitorStartedAt = 0
  #running = false
  #fallback = false
  #waitsForMore = false
  #restartPause = firstRestartMilliseconds

  constructor(
    readonly parts: ReconcileParts,
    readonly log: Log,
    reconcile: Reconcile,
    /** Gets each transaction that the monitor reports. */
    readonly onTransaction: (transaction: RulesetTransaction) => void = () => undefined,
  ) {
    const { reconciler, tracker, questions } = parts
    this.#report = new DriftLog(log)
    this.#clock = new GenerationClock(questions.generation, () => {
      this.#wantAsOfOldest()
    })
    const interrupt = () => {
      reconciler.interrupt()
    }
    const [clock, report, timers] = [this.#clock, this.#report, this.#timers]
    this.#loop = new ReconcileLoop({ reconcile, interrupt, clock, report, timers })
    this.#grants = new RunningGrants({
      ...{ reconciler, tracker, timers },
      onBegin: () => {
        this.compare()
      },
      onRead: () => {
        this.#seesAll()
      },
      onTrouble: message => {
        report.error(message)
      },
    })
  }

  /** Whether drift is noticed at once. */
  get watched(): boolean {
    return this.unwatchedBecause === undefined
  }

  /** How often drift was undone. */
  get restorations(): number {
    return this.#report.count
  }

  /** How long the rules were changed or missing, at most, until it was undone. */
  get secondsChanged(): number {
    return this.#report.seconds
  }

  /** `fallback`: knocks are queued by a rule in iptables' mangle table, which is watched as well. */
  start(fallback: boolean): void {
    this.#running = true
    this.#fallback = fallback
    this.#clock.start()
    this.#loop.start()
    this.#startMonitor()
  }

  /** Changes nothing any more, but for what is under way. */
  stop(): void {
    this.#running = false
    this.#clock.stop()
    this.#loop.stop()
    this.parts.reconciler.end()
    this.#monitor?.stop()
    this.#timers.clear()
    this.#onWatched()
  }

  /** Resolves when drift is noticed at once, or after so many milliseconds. */
  untilWatched(milliseconds: number): Promise<void> {
    if (this.watched) return Promise.resolve()
    return new Promise(resolve => {
      this.#onWatched = resolve
      this.#timers.later(milliseconds, resolve)
    })
  }

  /** The kernel reports that some program has changed the ruleset. A table that is gone has left its ports open. */
  rulesetChanged(): void {
    if (!this.#running) return
    this.#clock.notice()
    if (this.parts.questions.hasTable(tableName) !== false) return
    void this.parts.reconciler.closePorts()
    this.#wantAsOfOldest()
  }

  /** Compares the table, whatever the monitor reports. */
  compare(): void {
    this.#loop.want(this.#fallback, '')
  }

  /** The same for all that is not reported yet. */
  #wantAsOfOldest(): void {
    this.#loop.want(this.#fallback, '', this.#clock.oldestSince)
  }

  /** Replaces a monitor that does not report. */
  restartMonitor(reason: string): void {
    this.#monitor?.stop()
    this.#startMonitorLater(`nft monitor is started again: ${reason}`)
  }

  #startMonitor(): void {
    this.#monitorStartedAt = performance.now()
    this.#monitor = this.parts.watch({
      transaction: transaction => {
        this.#follow(transaction)
      },
      deleted: () => {
        this.#wantAsOfOldest()
      },
      ended: reason => {
        this.#startMonitorLater(`nft monitor ended and is started again: ${reason}`)
      },
    })
    this.#grants.read()
  }

  #startMonitorLater(message: string): void {
    if (!this.#running) return
    this.unwatchedBecause = message
    this.#grants.forget()
    if (performance.now() - this.#monitorStartedAt > calmMilliseconds) this.#restartPause = firstRestartMilliseconds
    this.#report.error(message)
    this.#timers.later(this.#restartPause, () => {
      this.#startMonitor()
    })
    this.#restartPause = Math.min(longestRestartMilliseconds, this.#restartPause * 2)
  }

  /** Takes note of a reconciliation that came before something else was done. */
  reconciled(reconciliation: Reconciliation): void {
    this.#loop.reconciled(reconciliation)
  }

  #follow(transaction: RulesetTransaction): void {
    const { events, by, lost } = transaction
    this.parts.reconciler.follow(transaction)
    this.onTransaction(transaction)
    const since = this.#clock.reported(transaction.generation)
    if (events.some(deletesTable)) this.#loop.deleted(by)
    if (lost) this.#grants.read()
    const queueRule = this.#fallback && events.some(concernsQueueRule)
    if (!lost && this.#loop.hasSeen(transaction.generation, queueRule)) return
    if (lost || queueRule || events.some(concernsTable))
      this.#loop.want(this.#fallback && (lost || queueRule), by, since)
    else if (events.length === 0) this.#wantLater(by)
  }

  /** It is not known what was changed: another program's set, most likely, perhaps many times a second. */
  #wantLater(by: string): void {
    if (this.#waitsForMore) return
    this.#waitsForMore = true
    this.#timers.later(unknownMilliseconds, () => {
      this.#waitsForMore = false
      this.#loop.want(false, by)
    })
  }

  /** The monitor reports, and it is known which grants run. */
  #seesAll(): void {
    this.unwatchedBecause = undefined
    this.#onWatched()
    // What came between the first comparison and the monitor.
    this.compare()
    this.log.debug('the ruleset is watched, and running grants are known')
  }
}
