/**
 * When the ruleset changed, by the number that each transaction raises. `nft monitor` reports a transaction only when
 * the kernel has written all of its elements down, and nft has read them: beside big lists that is a second later.
 */
import type { ReadGeneration } from '../queue/index.js'

const everyMilliseconds = 50
const mostChanges = 1000

interface Seen {
  readonly generation: number
  /** When the ruleset still was another one. */
  readonly after: number
}

/** Whether a generation is this one or came before it. The numbers have 32 bits. */
export const isUpTo = (generation: number, other: number): boolean => ((generation - other) | 0) <= 0

export class GenerationClock {
  #timer: NodeJS.Timeout | undefined
  #last: number | undefined
  #lastAt = 0
  #changes: Seen[] = []
  /** The number that was there at the time before, and the last one that `onUnreported` was told. */
  #before: number | undefined
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
      this.#tick()
    }, everyMilliseconds)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** The number now. */
  get current(): number | undefined {
    this.#look()
    return this.#last
  }

  /** A time, by performance.now(), after which the oldest change came that is not reported; undefined where unknown. */
  get oldestSince(): number | undefined {
    this.#look()
    return this.#changes[0]?.after
  }

  /** The same for a change that is reported now: this one, and all before it, are explained. */
  reported(generation: number | undefined): number | undefined {
    this.#look()
    if (generation === undefined) return this.#changes[0]?.after
    this.#reported = generation
    const index = this.#changes.findIndex(change => isUpTo(generation, change.generation))
    const { after } = this.#changes[Math.max(0, index)] ?? {}
    this.#changes = this.#changes.filter(change => !isUpTo(change.generation, generation))
    return after
  }

  #look(): void {
    const generation = this.read()
    if (generation === undefined) return
    if (this.#last !== undefined && generation !== this.#last) {
      this.#changes = [...this.#changes, { generation, after: this.#lastAt }].slice(-mostChanges)
    }
    this.#last = generation
    this.#lastAt = performance.now()
  }

  #tick(): void {
    this.#before = this.#last
    this.#look()
    const last = this.#last
    if (last === undefined || last !== this.#before || last === this.#told) return
    if (isUpTo(last, (this.#reported ??= last))) return
    this.#told = last
    this.onUnreported()
  }
}
