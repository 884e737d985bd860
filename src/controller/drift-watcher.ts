/**
 * Watches the ruleset, and has it mended when somebody else changes what pkctl made: at once, and with pauses when it
 * happens again and again; it never gives up. Whether a change was pkctl's own is for the reconciler to see.
 */
import type { GrantTracker } from '../nft/reconcile/grant-tracker.js'
import type { Monitor, RulesetEvent, RulesetTransaction, Watch } from '../nft/reconcile/monitor.js'
import type { Reconciler, Reconciliation } from '../nft/reconcile/reconciler.js'
import type { Log } from './log.js'

export interface ReconcileParts {
  readonly reconciler: Reconciler
  readonly book: GrantTracker
  readonly watch: Watch
}

/** Compares, and mends; `queueRule`: the rule in iptables' mangle table as well. */
type Reconcile = (queueRule: boolean) => Promise<Reconciliation>

/** So many times in a row there is no pause, after that one that doubles. In a row: with less than `calm` between. */
const quickMendings = 20
const firstPauseMilliseconds = 25
const longestPauseMilliseconds = 2000
const calmMilliseconds = 10_000
/** So many times in a row each is told of, after that all together, once a minute. */
const namedMendings = 5
const minuteMilliseconds = 60_000
/** A watch that ended begins again after this; when it lasted for less than `calm`, after twice the time as before. */
const firstRestartMilliseconds = 100
const longestRestartMilliseconds = 10_000

/** How long to wait for more after a transaction of which nothing is shown. */
const suspicionMilliseconds = 100
/** Learning which grants run is tried again after this, and then after twice the time as before. */
const firstLearningMilliseconds = 100
const longestLearningMilliseconds = 10_000

export class DriftWatcher {
  /** How often something was put back. */
  healed = 0
  /** False from the end of a watch until another one sees. */
  watched = true
  #monitor: Monitor | undefined
  #running = false
  #fallback = false
  #timers = new Set<NodeJS.Timeout>()
  #wanted: { queueRule: boolean; by: string; since: number } | undefined
  #busy = false
  /** Raised by everything after which grants have to be learnt anew. */
  #learning = 0
  #isLearning = false
  #suspecting = false
  #row = 0
  #failures = 0
  #lastMending = -Infinity
  #unnamed = 0
  #lastSummary = -Infinity
  #lastTrouble = -Infinity
  #restartPause = firstRestartMilliseconds

  constructor(
    readonly parts: ReconcileParts,
    readonly log: Log,
    readonly mend: Reconcile,
  ) {}

  /** `fallback`: knocks are queued by a rule in iptables' mangle table, which is watched as well. */
  start(fallback: boolean): void {
    this.#running = true
    this.#fallback = fallback
    this.#watch()
  }

  /** Changes nothing any more, but for what is under way. */
  stop(): void {
    this.#running = false
    this.#monitor?.stop()
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #watch(): void {
    const startedAt = performance.now()
    this.#monitor = this.parts.watch({
      transaction: transaction => {
        this.#follow(transaction)
      },
      ended: reason => {
        if (!this.#running) return
        this.watched = false
        this.#forget()
        if (performance.now() - startedAt > calmMilliseconds) this.#restartPause = firstRestartMilliseconds
        this.#complain(`nft monitor ended and is started again: ${reason}`)
        this.#later(this.#restartPause, () => {
          this.#watch()
        })
        this.#restartPause = Math.min(longestRestartMilliseconds, this.#restartPause * 2)
      },
    })
    this.#learnGrants()
  }

  /** What was mended by the way, before something else was done. */
  mended(mending: Reconciliation): void {
    const { by = '', since = performance.now() } = this.#wanted ?? {}
    if (mending.damages.length > 0) this.#tell(mending, by, performance.now() - since)
  }

  #follow(transaction: RulesetTransaction): void {
    const { events, by, lost } = transaction
    this.parts.reconciler.follow(transaction)
    if (lost) this.#learnGrants()
    const queueRule = this.#fallback && events.some(concernsQueueRule)
    if (lost || queueRule || events.some(concernsTable)) this.#want(this.#fallback && (lost || queueRule), by)
    else if (events.length === 0) this.#suspect(by)
  }

  /** Nobody knows what was changed: somebody else's set, most likely, perhaps many times a second. */
  #suspect(by: string): void {
    if (this.#suspecting) return
    this.#suspecting = true
    this.#later(suspicionMilliseconds, () => {
      this.#suspecting = false
      this.#want(false, by)
    })
  }

  /** Until it is done: nft needs a moment before it sees, longer the more elements there are. */
  #learnGrants(pause = firstLearningMilliseconds): void {
    this.#forget()
    this.#want(this.#fallback, '')
    if (!this.#isLearning) void this.#learn(pause)
  }

  /** From now on it is not known which grants run, whatever is about to be learnt. */
  #forget(): void {
    this.parts.book.forgetAll()
    this.#learning++
  }

  async #learn(pause: number): Promise<void> {
    const round = this.#learning
    const isCurrent = () => round === this.#learning
    let learnt = false
    this.#isLearning = true
    try {
      learnt = await this.parts.reconciler.learnGrants(isCurrent)
    } catch (error) {
      // At first it may be that the table is not there just now.
      if (pause >= longestLearningMilliseconds)
        this.#complain(`the running grants could not be read: ${(error as Error).message}`)
    }
    this.#isLearning = false
    if (learnt && isCurrent()) {
      this.watched = true
      // What came between the first look and the watch.
      this.#want(this.#fallback, '')
      this.log.debug('the ruleset is watched, and running grants are known')
      return
    }
    // What was overtaken has not failed.
    const [wait, next] = isCurrent()
      ? [pause, Math.min(longestLearningMilliseconds, pause * 2)]
      : [firstLearningMilliseconds, firstLearningMilliseconds]
    const latest = this.#learning
    this.#later(wait, () => {
      if (latest === this.#learning && !this.#isLearning) this.#learnGrants(next)
    })
  }

  #want(queueRule: boolean, by: string): void {
    const { by: before = '', queueRule: also = false, since = performance.now() } = this.#wanted ?? {}
    this.#wanted = { queueRule: queueRule || also, by: by === '' ? before : by, since }
    if (!this.#busy) void this.#look()
  }

  /** One look at a time; what is told of meanwhile makes for another one. */
  async #look(): Promise<void> {
    this.#busy = true
    while (this.#wanted && this.#running) {
      const { queueRule, by, since } = this.#wanted
      this.#wanted = undefined
      try {
        const mending = await this.mend(queueRule)
        this.#failures = 0
        if (mending.damages.length > 0) this.#tell(mending, by, performance.now() - since)
        else if (performance.now() - this.#lastMending > calmMilliseconds) this.#row = 0
      } catch (error) {
        this.#failures++
        this.#complain(`the rules could not be put back, and it will be tried again: ${(error as Error).message}`)
        this.#want(queueRule, by)
      }
      const pause = pauseAfter(Math.max(this.#row - quickMendings, this.#failures))
      if (pause > 0) await new Promise<void>(done => this.#later(pause, done))
    }
    this.#busy = false
  }

  #tell({ damages, restored }: Reconciliation, by: string, milliseconds: number): void {
    const now = performance.now()
    this.#row = now - this.#lastMending > calmMilliseconds ? 1 : this.#row + 1
    this.#lastMending = now
    this.healed++
    const fields = { event: 'healed', damages, restored, milliseconds: Math.round(milliseconds), ...(by ? { by } : {}) }
    const whose = by === '' ? 'somebody else' : by
    const what = damages.slice(0, 5).join(', ') + (damages.length > 5 ? ' and more' : '')
    this.log[this.#row <= namedMendings ? 'warn' : 'debug'](
      `${what} by ${whose}; put back after ${Math.round(milliseconds)} ms, with ${restored} grants`,
      fields,
    )
    if (this.#row <= namedMendings) return
    this.#unnamed++
    if (now - this.#lastSummary < minuteMilliseconds) return
    this.log.warn(
      `the rules are changed again and again, last by ${whose}: put back ${this.#unnamed} more times; two programs that both manage the ruleset should not fight`,
      fields,
    )
    this.#unnamed = 0
    this.#lastSummary = now
  }

  #complain(message: string): void {
    const now = performance.now()
    if (now - this.#lastTrouble < minuteMilliseconds) return
    this.#lastTrouble = now
    this.log.error(message)
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

const pauseAfter = (times: number): number =>
  times <= 0 ? 0 : Math.min(longestPauseMilliseconds, firstPauseMilliseconds * 2 ** Math.min(times - 1, 20))

const isDeletion = (verb: string) => verb === 'delete' || verb === 'destroy'

/** Grants come and go, and so do the sets that only the packet path fills. */
function concernsTable({ family, table, kind, name }: RulesetEvent): boolean {
  if (family !== 'inet' || table !== 'pkctl' || (kind === 'chain' && name.startsWith('sign-'))) return false
  return kind !== 'element' || /^(services|ranges)-|\.allow-|^grants$|-ports$/.test(name)
}

/** Rules of others come and go there as well; only ours can be missing. */
const concernsQueueRule = ({ verb, family, table }: RulesetEvent): boolean =>
  isDeletion(verb) && table === 'mangle' && (family === 'ip' || family === 'ip6')
