/** A world in which time passes as a schedule says, so that a seed determines what happens, and in which order. */
import { Random } from '../fuzz/random.js'

interface Event {
  readonly at: number
  readonly number: number
  readonly run: () => void
}

/** What comes at the same time happens in the order in which it was asked for. */
const isBefore = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.number < b.number)

export class World {
  readonly random: Random
  /** The true time, in Unix milliseconds. */
  now = 1_900_000_000_000
  /** A heap: each event is before those at twice its place. */
  readonly #events: Event[] = []
  #number = 0

  constructor(seed: number) {
    this.random = new Random(seed)
  }

  /** What it returns takes it back. */
  after(milliseconds: number, run: () => void): () => void {
    let isWanted = true
    const run1 = () => {
      if (isWanted) run()
    }
    const events = this.#events
    let at = events.push({ at: this.now + milliseconds, number: this.#number++, run: run1 }) - 1
    for (let up = (at - 1) >> 1; at > 0 && isBefore(this.#at(at), this.#at(up)); up = (at - 1) >> 1) {
      this.#swap(at, up)
      at = up
    }
    return () => {
      isWanted = false
    }
  }

  /** Resolves when nothing is to happen any more. */
  async run(): Promise<void> {
    for (let event = this.#next(); event; event = this.#next()) {
      this.now = event.at
      event.run()
      // Whatever waits for what happened goes on before the next thing happens.
      await new Promise(setImmediate)
    }
  }

  #next(): Event | undefined {
    const events = this.#events
    const [first, last] = [events[0], events.pop()]
    if (events.length === 0 || !last) return last
    events[0] = last
    for (let at = 0; ;) {
      const below = [2 * at + 1, 2 * at + 2].filter(one => one < events.length)
      const next = below.sort((a, b) => (isBefore(this.#at(a), this.#at(b)) ? -1 : 1))[0]
      if (next === undefined || !isBefore(this.#at(next), this.#at(at))) return first
      this.#swap(at, next)
      at = next
    }
  }

  #at(i: number): Event {
    return this.#events[i] as Event
  }

  #swap(a: number, b: number): void {
    const kept = this.#at(a)
    this.#events[a] = this.#at(b)
    this.#events[b] = kept
  }
}
