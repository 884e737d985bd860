/** Pseudo-random numbers that a seed determines (mulberry32), so that each input can be made again. */
export class Random {
  #state: number

  constructor(seed: number) {
    // Neighbouring seeds must not give neighbouring first numbers.
    this.#state = Math.imul(seed ^ (seed >>> 16), 0x45d9f3b) >>> 0
  }

  /** A whole number from 0 up to, and without, `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end)
  }

  /** One of the list, which is not empty. */
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }
}
