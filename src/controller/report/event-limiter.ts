/**
 * Passes a number of events a second and counts the rest. A client, with or without a key, must not fill the disk or
 * stall the packet worker by what it makes the daemon log.
 */
export class EventLimiter {
  #second = -1
  #passed = 0
  #suppressed = 0

  constructor(readonly perSecond: number) {}

  pass(nowSeconds: number): boolean {
    const second = Math.floor(nowSeconds)
    if (second !== this.#second) {
      this.#second = second
      this.#passed = 0
    }
    if (this.#passed < this.perSecond) {
      this.#passed++
      return true
    }
    this.#suppressed++
    return false
  }

  /** How many events were suppressed since the last call. */
  takeSuppressed(): number {
    const count = this.#suppressed
    this.#suppressed = 0
    return count
  }
}
