/**
 * Compares the table at intervals, so that drift is undone also while the monitor reports nothing, and finds out whether
 * the monitor still reports: it may be stopped, or wait for a lock, and look alive.
 */

interface CheckedParts {
  /** Asks for a comparison. What comes of it is seen by `compared`. */
  readonly compare: () => void
  /** Whether the monitor reports a change of the ruleset that is made for it. Rejects when that cannot be made. */
  readonly monitorReports: () => Promise<boolean>
  readonly restartMonitor: (reason: string) => void
}

const everyMilliseconds = 10_000
/** One answer may be late: the monitor reads what other programs load as well. */
const missesAllowed = 1
/** Without a comparison, or a sign of the monitor, for so long the daemon does not work. */
const patienceMilliseconds = 60_000

export class RulesetCheck {
  #timer: NodeJS.Timeout | undefined
  #comparedAt = performance.now()
  #reportedAt = performance.now()
  #isChecking = false
  #misses = 0

  constructor(readonly parts: CheckedParts) {}

  start(): void {
    this.stop()
    this.#comparedAt = this.#reportedAt = performance.now()
    this.#timer = setInterval(() => void this.#check(), everyMilliseconds)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Takes note of a comparison that was made. */
  compared(): void {
    this.#comparedAt = performance.now()
  }

  /** Why the ruleset is not under control; undefined when it is. */
  get problem(): string | undefined {
    return this.problemFor(patienceMilliseconds)
  }

  /** The same, for those who have less patience. */
  problemFor(milliseconds: number): string | undefined {
    const seconds = (since: number) => Math.round((performance.now() - since) / 1000)
    if (performance.now() - this.#comparedAt > milliseconds)
      return `the ruleset could not be compared for ${seconds(this.#comparedAt)} s`
    if (performance.now() - this.#reportedAt > milliseconds)
      return `nft monitor has reported nothing for ${seconds(this.#reportedAt)} s`
    return undefined
  }

  async #check(): Promise<void> {
    this.parts.compare()
    if (this.#isChecking) return
    this.#isChecking = true
    try {
      if (await this.parts.monitorReports()) this.#heard()
      else this.#missed()
    } catch {
      // The table is not there just now, or nft does not answer. The comparison finds out, and logs it.
    } finally {
      this.#isChecking = false
    }
  }

  #heard(): void {
    this.#reportedAt = performance.now()
    this.#misses = 0
  }

  #missed(): void {
    if (++this.#misses <= missesAllowed) return
    this.#misses = 0
    this.parts.restartMonitor('it does not report what changes')
  }
}
