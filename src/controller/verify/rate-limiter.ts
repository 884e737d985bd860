/**
 * Limits each source to `count` knocks, which become available again evenly over `seconds`. Only knocks with a valid
 * key are counted, so that a sender without a key can neither fill the table nor use up the rate of a user. An IPv6 /64 is one source,
 * because a host that has one of its addresses can use all of them.
 *
 * For each source it keeps the time from which the full rate is available (GCRA, ATM Forum TM 4.0), in two generations: a
 * source that has not knocked for two turns is forgotten with its generation, when its full rate is available anyway.
 */
import type { KnockRate } from '../../config/index.js'
import { HashTable } from '../../util/index.js'

/** Sums of fractions of seconds are not exact. */
const roundingSeconds = 1e-6
const maxSources = 1 << 20

export class RateLimiter {
  #current = new HashTable()
  #previous = new HashTable()
  #turnAt = -Infinity

  constructor(readonly rate: KnockRate) {}

  /** Counts a knock of the source whose 4 or 16 bytes are at `at`. False when the rate is exceeded. */
  take(version: 4 | 6, address: Buffer, at: number, nowSeconds: number): boolean {
    const high = address.readUInt32BE(at)
    const low = version === 4 ? 0 : address.readUInt32BE(at + 4)
    this.#turn(nowSeconds)
    const { count, seconds } = this.rate
    const whole = this.#current.get(high, low, version, 0) ?? this.#previous.get(high, low, version, 0) ?? nowSeconds
    const next = Math.max(whole, nowSeconds) + seconds / count
    if (next - nowSeconds > seconds + roundingSeconds) return false
    this.#current.set(high, low, version, 0, next)
    return true
  }

  // The clock must be monotonic: a clock that is set back would block a source for as long.
  #turn(nowSeconds: number): void {
    if (nowSeconds < this.#turnAt && this.#current.size < maxSources) return
    this.#previous = this.#current
    this.#current = new HashTable()
    this.#turnAt = nowSeconds + this.rate.seconds
  }
}
