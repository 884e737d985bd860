/** How many packets the packet worker has answered, and how: for `pkctl status`. */
import { refusals } from '../verify/decision.js'

/** `accepted`: valid knocks, also those that revoke a grant. */
const names = ['accepted', 'pending', 'stray', ...refusals] as const
export type CounterName = (typeof names)[number]

/** Counters in memory that both threads share; only the packet worker writes. */
export class Counters {
  readonly #values: Float64Array

  constructor(readonly memory = new SharedArrayBuffer(names.length * 8)) {
    this.#values = new Float64Array(memory)
  }

  add(name: CounterName, count = 1): void {
    const index = indexOf.get(name) as number
    this.#values[index] = (this.#values[index] as number) + count
  }

  get(name: CounterName): number {
    return this.#values[indexOf.get(name) as number] as number
  }
}

const indexOf: ReadonlyMap<CounterName, number> = new Map(names.map((name, i) => [name, i]))
