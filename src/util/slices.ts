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

/** Work in short steps: it yields after each, and returns its result. */
export type Steps<T> = Generator<undefined, T>

/** The result, with pauses between the steps. */
export async function inSlices<T>(steps: Steps<T>, slices: Slices): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
    if (slices.isOver()) await slices.next()
  }
}

/** The result, at once. */
export function inOnePiece<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}
