/** Long work of a thread in short slices, between which it does what else there is. */

/** Less than the packets of others wait for anyway. */
const sliceMilliseconds = 3

export class Slices {
  #since = performance.now()

  isOver(): boolean {
    return performance.now() - this.#since >= sliceMilliseconds
  }

  /** Resolves when what waited was done. */
  async next(): Promise<void> {
    await new Promise(resolve => setImmediate(resolve))
    this.#since = performance.now()
  }
}
