/**
 * Which knocks were honoured already: none of them may open a second time.
 *
 * With a skew, a knock stamped `skew` ahead of the clock stays acceptable for twice the skew after it arrived, so that
 * long it is remembered. What is forgotten leaves its time behind as the *floor*: nothing as old as the floor is
 * accepted any more, which holds even when the clock is set back.
 *
 * Without one (skew -1: any clock), the last `entries` knocks are remembered, the ones with the lowest times are
 * forgotten first, and they raise the floor. So an old knock is never accepted again, and a client whose clock starts again
 * at every boot still has that many knocks before it has to catch up.
 */
import { HashTable } from '../../util/index.js'

export interface ReplayLimits {
  /** Seconds either way; -1 for any clock. */
  readonly skew: number
  /** How many knocks to remember at most. */
  readonly entries: number
}

/** `stale`: not above the floor. `full`: no room to remember one more, so it must not be honoured. */
export type ReplayAnswer = 'new' | 'replayed' | 'stale' | 'full'

/** The knocks of one credential. A digest is given as the buffer and offset where its first 16 bytes are. */
export class ReplayCache {
  #byTime = new Map<number, HashTable>()
  #size = 0
  #floor = -Infinity
  #nextForget = -Infinity

  constructor(readonly limits: ReplayLimits) {}

  get size(): number {
    return this.#size
  }

  /** No knock of this time or an earlier one is accepted. */
  get floor(): number {
    return this.#floor
  }

  raiseFloor(time: number): void {
    this.#floor = Math.max(this.#floor, time)
  }

  /** Whether a knock of `time` with this digest may be honoured, all times in Unix seconds. */
  check(digest: Buffer, at: number, time: number, now: number): ReplayAnswer {
    this.#forget(now)
    const table = this.#byTime.get(time)
    const known =
      table?.get(
        digest.readUInt32LE(at),
        digest.readUInt32LE(at + 4),
        digest.readUInt32LE(at + 8),
        digest.readUInt32LE(at + 12),
      ) !== undefined
    if (known) return 'replayed'
    if (time <= this.#floor) return 'stale'
    return this.limits.skew >= 0 && this.#size >= this.limits.entries ? 'full' : 'new'
  }

  /** Remembers a knock that `check` called new. */
  remember(digest: Buffer, at: number, time: number): void {
    let table = this.#byTime.get(time)
    if (!table) this.#byTime.set(time, (table = new HashTable()))
    const before = table.size
    table.set(
      digest.readUInt32LE(at),
      digest.readUInt32LE(at + 4),
      digest.readUInt32LE(at + 8),
      digest.readUInt32LE(at + 12),
      1,
    )
    this.#size += table.size - before
    if (this.limits.skew < 0 && this.#size > this.limits.entries) this.#forgetOldest()
  }

  /** Calls `visit` with the four words of each remembered digest, and its time. */
  forEach(visit: (words: readonly [number, number, number, number], time: number) => void): void {
    for (const [time, table] of this.#byTime) table.forEach((a, b, c, d) => visit([a, b, c, d], time))
  }

  #forget(now: number): void {
    const { skew } = this.limits
    // Often enough to stay small, seldom enough to cost nothing; and at once when the clock was set back.
    const pause = Math.max(1, skew >> 3)
    if (skew < 0 || (now < this.#nextForget && now >= this.#nextForget - pause)) return
    this.#nextForget = now + pause
    for (const time of this.#byTime.keys()) if (time + skew < now) this.#drop(time)
  }

  #forgetOldest(): void {
    // An eighth at once, so that the sorting is paid by many knocks.
    const keep = this.limits.entries - (this.limits.entries >> 3)
    for (const time of [...this.#byTime.keys()].sort((a, b) => a - b)) {
      if (this.#size <= keep) return
      this.#drop(time)
    }
  }

  #drop(time: number): void {
    this.#size -= this.#byTime.get(time)?.size ?? 0
    this.#byTime.delete(time)
    this.raiseFloor(time)
  }
}
