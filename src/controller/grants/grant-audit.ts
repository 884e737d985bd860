/**
 * Compares at intervals, and after each change of grants, what the kernel grants with what the daemon has given and seen. What
 * is different is logged and counted. A grant that is missing is given again, for the rest of its time. One that nothing seen
 * has given stays, and so does one with another end: who may change rules may have made them, and from then on they are known.
 */
import type { GrantDifferences, RunningElement } from '../../nft/index.js'
import { grantSetOf } from '../../nft/index.js'
import { count } from '../../util/index.js'
import type { Log } from '../report/log-interface.js'

interface AuditParts {
  /** Undefined while it cannot be said. */
  readonly compare: () => Promise<GrantDifferences | undefined>
  /** Returns how many were given. */
  readonly giveAgain: (missing: readonly RunningElement[]) => Promise<number>
  readonly accept: (found: RunningElement) => void
  readonly log: Log
  /** Unix milliseconds. */
  readonly now: () => number
}

const everyMilliseconds = 60_000
/** After a change, others most likely follow. */
const settleMilliseconds = 1000
/** So long after a comparison there is none at least: it takes three calls of nft, and knocks may come every second. */
const restMilliseconds = 5000
/**
 * The same for each grant: to read one takes up to twenty microseconds, and so this takes a
 * hundredth of the time. With 100,000 grants it is 200 s.
 */
const restMillisecondsEach = 2
/** Sources that one line names. */
const named = 5

/** Since the start of the daemon. */
export interface GrantAuditCounts {
  /** When the last comparison ended, in Unix seconds; null before the first. */
  readonly comparedAt: number | null
  /** Given, and not in the kernel. */
  readonly missing: number
  /** Those of them that were given again. */
  readonly restored: number
  /** In the kernel, and not known. */
  readonly unknown: number
  /** With another end than was given. */
  readonly changed: number
}

export class GrantAudit {
  counts: GrantAuditCounts = { comparedAt: null, missing: 0, restored: 0, unknown: 0, changed: 0 }
  #timer: NodeJS.Timeout | undefined
  #dueAt = Infinity
  #notBefore = 0
  #isRunning = false
  #isStopped = true

  constructor(readonly parts: AuditParts) {}

  start(): void {
    this.#isStopped = false
    this.#schedule(everyMilliseconds)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  /** Grants were changed: compares when that has settled. */
  soon(): void {
    this.#schedule(settleMilliseconds)
  }

  #schedule(milliseconds: number): void {
    const at = Math.max(performance.now() + milliseconds, this.#notBefore)
    if (this.#isStopped || at >= this.#dueAt) return
    clearTimeout(this.#timer)
    this.#dueAt = at
    // While one runs, its end sets the timer.
    if (!this.#isRunning) this.#timer = setTimeout(() => void this.#run(), at - performance.now()).unref()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    this.#dueAt = Infinity
    let compared = 0
    try {
      const found = await this.parts.compare()
      compared = found?.compared ?? 0
      if (found && !this.#isStopped) await this.#putRight(found)
    } catch (error) {
      this.parts.log.debug(`the grants could not be compared: ${(error as Error).message}`)
    }
    const endedAt = performance.now()
    this.#notBefore = endedAt + Math.max(restMilliseconds, compared * restMillisecondsEach)
    this.#isRunning = false
    const wantedAt = Math.max(this.#dueAt, this.#notBefore)
    this.#dueAt = Infinity
    this.#schedule(Math.min(everyMilliseconds, wantedAt - endedAt))
  }

  async #putRight({ missing, unknown, changed }: GrantDifferences): Promise<void> {
    const restored = missing.length > 0 ? await this.parts.giveAgain(missing) : 0
    for (const grant of [...unknown, ...changed]) this.parts.accept(grant)
    const { counts } = this
    this.counts = {
      comparedAt: this.parts.now() / 1000,
      missing: counts.missing + missing.length,
      restored: counts.restored + restored,
      unknown: counts.unknown + unknown.length,
      changed: counts.changed + changed.length,
    }
    type Message = (howMany: string, names: string) => string
    const say = (event: string, grants: readonly RunningElement[], message: Message, fields = {}) => {
      if (grants.length === 0) return
      const text = message(count(grants.length, 'grant'), namesOf(grants))
      this.parts.log.warn(text, { event, grants: grants.length, ...fields })
    }
    const again = { restored }
    const stay = unknown.length === 1 ? 'it stays' : 'they stay'
    say('grants-missing', missing, (n, names) => `the kernel lacks ${n}: ${names}; restored: ${restored}`, again)
    say('grants-unknown', unknown, (n, names) => `the kernel has ${n} that pkctld does not know: ${names}; ${stay}`)
    const ends = changed.length === 1 ? 'ends' : 'end'
    const changedEnd: Message = (n, names) =>
      `another program changed when ${n} ${ends}: ${names}; pkctld keeps the new end`
    say('grants-changed', changed, changedEnd)
  }
}

function namesOf(grants: readonly RunningElement[]): string {
  const names = grants.slice(0, named).map(({ set, source }) => `${source} for ${grantSetOf(set)?.service ?? set}`)
  return names.join(', ') + (grants.length > named ? ' and more' : '')
}
