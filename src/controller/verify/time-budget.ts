/** Keeps work that is done now and then to a share of the time, however long each piece of it takes. */

export class TimeBudget {
  #saved: number
  #at: number | undefined
  /** Pieces of work that have begun, by when. */
  readonly #running = new Set<{ readonly since: number }>()

  /** `share`: of the time, 0 to 1. `most`: what can be saved, in seconds. */
  constructor(
    readonly share: number,
    readonly most: number,
  ) {
    this.#saved = most
  }

  /** Whether another piece of work may begin at `now`, in seconds. What is not done yet counts by the time that it has taken. */
  isLeft(now: number): boolean {
    this.#save(now)
    const running = [...this.#running].reduce((sum, { since }) => sum + now - since, 0)
    return this.#saved > running
  }

  /** Call the result when the work is done, with the time. */
  begin(now: number): (now: number) => void {
    const work = { since: now }
    this.#running.add(work)
    return end => {
      this.#save(end)
      if (this.#running.delete(work)) this.#saved -= end - work.since
    }
  }

  #save(now: number): void {
    const elapsed = now - (this.#at ?? now)
    this.#at = now
    this.#saved = Math.min(this.most, this.#saved + Math.max(0, elapsed) * this.share)
  }
}
