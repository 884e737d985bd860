/**
 * Watches the ruleset, and has it reconciled when another program changes what pkctl made: at once, and with pauses when
 * it happens again and again; it never gives up. Whether a change was pkctl's own is for the reconciler to see.
 */
import type {
  GrantTracker,
  Monitor,
  Reconciler,
  Reconciliation,
  RulesetEvent,
  RulesetTransaction,
  Watch,
} from '../nft/index.js'
import { isBarrier, isComparedElement, isDeletion, isOurs, tableName } from '../nft/index.js'
import type { RulesetQuestions } from '../queue/index.js'
import { calmMilliseconds, DriftLog } from './drift-log.js'
import type { Since } from './generation-clock.js'
import { GenerationClock, isUpTo } from './generation-clock.js'
import type { Log } from './log.js'

export interface ReconcileParts {
  readonly reconciler: Reconciler
  readonly tracker: GrantTracker
  readonly watch: Watch
  readonly questions: RulesetQuestions
}

/** Compares and restores; `queueRule`: the rule in iptables' mangle table as well. */
type Reconcile = (queueRule: boolean) => Promise<Reconciliation>

/** So many times in a row there is no pause, after that one that doubles. */
const withoutPause = 20
const firstPauseMilliseconds = 25
const longestPauseMilliseconds = 2000
/** A monitor that ended is started again after this; when it lasted for less than `calm`, after twice the time as before. */
const firstRestartMilliseconds = 100
const longestRestartMilliseconds = 10_000

/** How long to wait for more after a transaction of which nothing is shown. */
const unknownMilliseconds = 100
/** Reading which grants run is tried again after this, and then after twice the time as before. */
const firstReadMilliseconds = 100
const longestReadMilliseconds = 10_000

export class DriftWatcher {
  /** Why drift may not be noticed at once: at the start, and from the end of a monitor until another one sees. */
  unwatchedBecause: string | undefined = 'it has just started, and does not know yet which grants run'
  #onWatched: () => void = () => undefined
  readonly #report: DriftLog
  #monitor: Monitor | undefined
  #monitorStartedAt = 0
  #running = false
  #fallback = false
  readonly #clock: GenerationClock
  /** What a comparison has seen, that is under way or was made; and whether it saw the rule in the mangle table. */
  #compared: { readonly generation: number | undefined; readonly queueRule: boolean } | undefined
  /** Who deleted the table, once the monitor has come to the end of that transaction. */
  #deletedBy = ''
  #timers = new Set<NodeJS.Timeout>()
  #wanted: { queueRule: boolean; by: string; since: Since } | undefined
  #busy = false
  /** Raised by everything after which grants have to be read again. */
  #generation = 0
  #isReading = false
  #waitsForMore = false
  #failures = 0
  #restartPause = firstRestartMilliseconds

  constructor(
    readonly parts: ReconcileParts,
    readonly log: Log,
    readonly reconcile: Reconcile,
  ) {
    this.#report = new DriftLog(log)
    this.#clock = new GenerationClock(parts.questions.generation, () => {
      this.#want(this.#fallback, '', this.#clock.oldestSince)
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
    this.#startMonitor()
  }

  /** Changes nothing any more, but for what is under way. */
  stop(): void {
    this.#running = false
    this.#clock.stop()
    this.parts.reconciler.end()
    this.#monitor?.stop()
    for (const timer of this.#timers) clearTimeout(timer)
    this.#onWatched()
  }

  /** Resolves when drift is noticed at once, or after so many milliseconds. */
  untilWatched(milliseconds: number): Promise<void> {
    if (this.watched) return Promise.resolve()
    return new Promise(resolve => {
      this.#onWatched = resolve
      this.#later(milliseconds, resolve)
    })
  }

  /** The kernel reports that some program has changed the ruleset. A table that is gone has left its ports open. */
  rulesetChanged(): void {
    if (!this.#running) return
    this.#clock.notice()
    if (this.parts.questions.hasTable(tableName) !== false) return
    void this.parts.reconciler.closePorts()
    this.#want(this.#fallback, '', this.#clock.oldestSince)
  }

  /** Compares the table, whatever the monitor reports. */
  compare(): void {
    this.#want(this.#fallback, '')
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
        this.#want(this.#fallback, '', this.#clock.oldestSince)
      },
      ended: reason => {
        this.#startMonitorLater(`nft monitor ended and is started again: ${reason}`)
      },
    })
    this.#readGrants()
  }

  #startMonitorLater(message: string): void {
    if (!this.#running) return
    this.unwatchedBecause = message
    this.#forgetGrants()
    if (performance.now() - this.#monitorStartedAt > calmMilliseconds) this.#restartPause = firstRestartMilliseconds
    this.#report.error(message)
    this.#later(this.#restartPause, () => {
      this.#startMonitor()
    })
    this.#restartPause = Math.min(longestRestartMilliseconds, this.#restartPause * 2)
  }

  /** Takes note of a reconciliation that came before something else was done. */
  reconciled(reconciliation: Reconciliation): void {
    const { by = '', since = this.#clock.oldestSince ?? rightNow() } = this.#wanted ?? {}
    if (reconciliation.drift.length > 0) this.#report.restored(reconciliation, by, since)
  }

  #follow(transaction: RulesetTransaction): void {
    const { events, by, lost } = transaction
    this.parts.reconciler.follow(transaction)
    const since = this.#clock.reported(transaction.generation)
    if (this.#deletedBy === '' && events.some(deletesTable)) this.#deletedBy = by
    if (lost) this.#readGrants()
    const queueRule = this.#fallback && events.some(concernsQueueRule)
    if (!lost && this.#hasSeen(transaction, queueRule)) return
    if (lost || queueRule || events.some(concernsTable)) this.#want(this.#fallback && (lost || queueRule), by, since)
    else if (events.length === 0) this.#wantLater(by)
  }

  #hasSeen({ generation }: RulesetTransaction, queueRule: boolean): boolean {
    const { generation: seen, queueRule: withRule = false } = this.#compared ?? {}
    return generation !== undefined && seen !== undefined && isUpTo(generation, seen) && (withRule || !queueRule)
  }

  /** It is not known what was changed: another program's set, most likely, perhaps many times a second. */
  #wantLater(by: string): void {
    if (this.#waitsForMore) return
    this.#waitsForMore = true
    this.#later(unknownMilliseconds, () => {
      this.#waitsForMore = false
      this.#want(false, by)
    })
  }

  /** Until it is done: nft needs a moment before it sees, longer the more elements there are. */
  #readGrants(pause = firstReadMilliseconds): void {
    this.#forgetGrants()
    this.#want(this.#fallback, '')
    if (!this.#isReading) void this.#tryToReadGrants(pause)
  }

  /** From now on it is not known which grants run, whatever a read under way will find. */
  #forgetGrants(): void {
    this.parts.tracker.forgetAll()
    this.#generation++
  }

  async #tryToReadGrants(pause: number): Promise<void> {
    const generation = this.#generation
    const isCurrent = () => generation === this.#generation
    let isRead = false
    this.#isReading = true
    try {
      isRead = await this.parts.reconciler.readGrants(isCurrent)
    } catch (error) {
      // At first it may be that the table is not there just now.
      if (pause >= longestReadMilliseconds)
        this.#report.error(`the running grants could not be read: ${(error as Error).message}`)
    }
    this.#isReading = false
    if (isRead && isCurrent()) {
      this.unwatchedBecause = undefined
      this.#onWatched()
      // What came between the first comparison and the monitor.
      this.#want(this.#fallback, '')
      this.log.debug('the ruleset is watched, and running grants are known')
      return
    }
    // A read that was overtaken has not failed.
    const [wait, next] = isCurrent()
      ? [pause, Math.min(longestReadMilliseconds, pause * 2)]
      : [firstReadMilliseconds, firstReadMilliseconds]
    const latest = this.#generation
    this.#later(wait, () => {
      if (latest === this.#generation && !this.#isReading) this.#readGrants(next)
    })
  }

  #want(queueRule: boolean, by: string, since: Since = rightNow()): void {
    const { by: earlierBy = '', queueRule: also = false, since: earlier = since } = this.#wanted ?? {}
    const who = by === '' ? earlierBy : by
    this.#wanted = { queueRule: queueRule || also, by: who, since: earlierOf(since, earlier) }
    // What still waits for the monitor to restore grants must not keep a table from being restored.
    this.parts.reconciler.interrupt()
    if (!this.#busy) void this.#reconcileWanted()
  }

  /** One reconciliation at a time; what is reported meanwhile makes for another one. */
  async #reconcileWanted(): Promise<void> {
    this.#busy = true
    while (this.#wanted && this.#running) {
      const { queueRule, by, since } = this.#wanted
      this.#wanted = undefined
      this.#deletedBy = ''
      this.#compared = { generation: this.#clock.current, queueRule }
      try {
        const reconciliation = await this.reconcile(queueRule)
        this.#failures = 0
        if (reconciliation.drift.length > 0) this.#report.restored(reconciliation, by || this.#deletedBy, since)
        else this.#report.nothing(reconciliation.restored)
        this.#report.givenUp(reconciliation.givenUp ?? 0)
      } catch (error) {
        this.#failures++
        this.#compared = undefined
        this.#report.error(`the rules could not be restored; pkctld tries again: ${(error as Error).message}`)
        this.#want(queueRule, by, since)
      }
      const pause = pauseAfter(Math.max(this.#report.row - withoutPause, this.#failures))
      if (pause > 0) await new Promise<void>(done => this.#later(pause, done))
    }
    this.#busy = false
  }

  #later(milliseconds: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      work()
    }, milliseconds)
    timer.unref()
    this.#timers.add(timer)
  }
}

const rightNow = (): Since => ({ after: performance.now(), noticed: performance.now() })

const earlierOf = (one: Since, other: Since): Since => ({
  after: Math.min(one.after, other.after),
  noticed: Math.min(one.noticed, other.noticed),
})

const pauseAfter = (times: number): number =>
  times <= 0 ? 0 : Math.min(longestPauseMilliseconds, firstPauseMilliseconds * 2 ** Math.min(times - 1, 20))

/** Grants come and go, and so do the sets that only the packet path fills. */
const concernsTable = (event: RulesetEvent): boolean =>
  isOurs(event) && !isBarrier(event) && (event.kind !== 'element' || isComparedElement(event.name))

const deletesTable = (event: RulesetEvent): boolean => isOurs(event) && event.kind === 'table' && isDeletion(event.verb)

/** Rules of others come and go there as well; only ours can be missing. */
const concernsQueueRule = ({ verb, family, table }: RulesetEvent): boolean =>
  isDeletion(verb) && table === 'mangle' && (family === 'ip' || family === 'ip6')
