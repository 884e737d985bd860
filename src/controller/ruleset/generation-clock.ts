/**
 * When the ruleset changed, by the number that each transaction raises. `nft monitor` reports a transaction only when
 * the kernel has written all of its elements down, and nft has read them: beside big lists that is a second later.
 *
 * That there was a change, the packet worker says (see src/queue/ruleset-events.ts). The kernel reports it when it has carried
 * it out, so that the number is asked for now and then as well: to know when the ruleset still was another one.
 */
import type { ReadGeneration } from '../../queue/index.js'

const everyMilliseconds = 1000
/** The monitor reports within some milliseconds, when it has no big list to read. */
const reportMilliseconds = 100
const mostChanges = 1000

/** When a change came, by performance.now(). */
export interface Since {
  /** When the ruleset still was another one. */
  readonly after: number
  /** When the change was noticed. */
  readonly noticed: number
}

interface NotedChange extends Since {
  readonly generation: number
}

/** Whether a generation is this one or came before it. The numbers have 32 bits. */
export const isUpTo = (generation: number, other: number): boolean => ((generation - other) | 0) <= 0

export class GenerationClock {
  #timer: NodeJS.Timeout | undefined
  /** Until the monitor should have reported. */
  #report: NodeJS.Timeout | undefined
  #last: number | undefined
  #lastAt = 0
  #changes: NotedChange[] = []
  /** The last number that `onUnreported` was told. */
  #told: number | undefined
  #reported: number | undefined

  constructor(
    readonly read: ReadGeneration,
    /** The ruleset has changed, and for some time the monitor has not said how. */
    readonly onUnreported: () => void,
  ) {}

  start(): void {
    this.stop()
    this.#look()
    this.#reported = this.#last
    this.#timer = setInterval(() => {
      this.notice()
    }, everyMilliseconds)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    clearTimeout(this.#report)
    this.#report = undefined
  }

  /** Looks now, because there was a change. */
  notice(): void {
    this.#look()
    this.#awaitReport()
  }

  /** The number now. */
  get current(): number | undefined {
    this.#look()
    return this.#last
  }

  /** When the oldest change came that is not reported; undefined where unknown. */
  get oldestSince(): Since | undefined {
    this.#look()
    return this.#changes[0]
  }

  /** The same for a change that is reported now: this one, and all before it, are explained. */
  reported(generation: number | undefined): Since | undefined {
    this.#look()
    if (generation === undefined) return this.#changes[0]
    this.#reported = generation
    const index = this.#changes.findIndex(change => isUpTo(generation, change.generation))
    const since = this.#changes[Math.max(0, index)]
    this.#changes = this.#changes.filter(change => !isUpTo(change.generation, generation))
    return since
  }

  #look(): void {
    const generation = this.read()
    if (generation === undefined) return
    const now = performance.now()
    if (this.#last !== undefined && generation !== this.#last) {
      this.#changes = [...this.#changes, { generation, after: this.#lastAt, noticed: now }].slice(-mostChanges)
    }
    this.#last = generation
    this.#lastAt = now
  }

  get #isUnreported(): boolean {
    const last = this.#last
    return last !== undefined && last !== this.#told && !isUpTo(last, (this.#reported ??= last))
  }

  #awaitReport(): void {
    const awaited = this.#last
    if (this.#report || awaited === undefined || !this.#isUnreported) return
    this.#report = setTimeout(() => {
      this.#report = undefined
      if (this.#reported !== undefined && isUpTo(awaited, this.#reported)) return this.notice()
      this.#look()
      this.#told = this.#last
      this.onUnreported()
    }, reportMilliseconds)
    this.#report.unref()
  }
}
