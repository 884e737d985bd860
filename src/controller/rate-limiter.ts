/**
 * A share of `count` knocks for each source and credential, which fills again evenly over `seconds`. Only knocks made
 * with the right key come this far, so a stranger cannot fill it, nor use up somebody's share. An IPv6 /64 is one source: whoever has one address of it
 * has them all.
 *
 * It keeps for each source when its share will be whole again (GCRA, ATM Forum TM 4.0), in two generations: what has
 * not knocked for two turns is forgotten with its generation, by when its share is whole in any case.
 */
import { HashTable } from '../util/hash-table.js'

export interface Rate {
  readonly count: number
  readonly seconds: number
}

/** Sums of fractions of seconds are not exact. */
const roundingSeconds = 1e-6
const maxSources = 1 << 20

export class RateLimiter {
  #current = new HashTable()
  #previous = new HashTable()
  #turnAt = -Infinity

  constructor(readonly rate: Rate) {}

  /** Takes one from the share of the source, whose 4 or 16 bytes are at `at`. False when none is left. */
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

  // A monotonic clock is asked for, so that time set back does not keep a share from becoming whole.
  #turn(nowSeconds: number): void {
    if (nowSeconds < this.#turnAt && this.#current.size < maxSources) return
    this.#previous = this.#current
    this.#current = new HashTable()
    this.#turnAt = nowSeconds + this.rate.seconds
  }
}
