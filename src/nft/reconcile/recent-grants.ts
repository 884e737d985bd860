/**
 * The latest answers that granted or revoked something, in memory that the packet worker writes and the
 * main thread reads: the kernel does not report what the packet path adds to its sets, and forgets it with the table.
 *
 * A ring: each answer takes the place of the oldest one. What it forgets cannot be restored after a foreign flush.
 */

const capacity = 262_144
const addressWords = 4
const recordWords = addressWords + 2
/** The oldest records may be overwritten while they are read. */
const slack = 1024

interface RecentGrant {
  readonly version: 4 | 6
  /** 4 or 16 bytes; valid during the call only. */
  readonly source: Buffer
  /** The mark of the verdict, bits of others included. */
  readonly mark: number
  /** Seconds of the clock that does not go back. */
  readonly time: number
}

/** Seconds of a clock that all threads share, and that goes on as the kernel's timeouts do. */
export function steadySeconds(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds + nanoseconds / 1e9
}

export class RecentGrants {
  readonly #head: Uint32Array
  readonly #words: Uint32Array
  readonly #times: Float64Array

  constructor(readonly memory = new SharedArrayBuffer(8 + capacity * (8 + 4 * recordWords))) {
    this.#head = new Uint32Array(memory, 0, 1)
    this.#times = new Float64Array(memory, 8, capacity)
    this.#words = new Uint32Array(memory, 8 + capacity * 8, capacity * recordWords)
  }

  /** Notes an answer to a packet whose source address begins at `at`. */
  note(version: 4 | 6, buffer: Buffer, at: number, mark: number, time: number): void {
    const head = this.#head[0] as number
    const slot = head & (capacity - 1)
    const word = slot * recordWords
    for (let i = 0; i < addressWords; i++) {
      this.#words[word + i] = version === 6 || i === 0 ? buffer.readUInt32BE(at + i * 4) : 0
    }
    this.#words[word + addressWords] = version
    this.#words[word + addressWords + 1] = mark
    this.#times[slot] = time
    Atomics.store(this.#head, 0, (head + 1) >>> 0)
  }

  /** From the latest one back to those of `since`, or until `visit` returns false. */
  latestFirst(since: number, visit: (answer: RecentGrant) => boolean): void {
    const head = Atomics.load(this.#head, 0)
    const source = Buffer.alloc(16)
    for (let back = 1; back <= capacity - slack; back++) {
      const slot = (head - back) & (capacity - 1)
      const time = this.#times[slot] as number
      // 0: never written.
      if (time === 0 || time < since) return
      const word = slot * recordWords
      const version = this.#words[word + addressWords] === 6 ? 6 : 4
      for (let i = 0; i < addressWords; i++) source.writeUInt32BE(this.#words[word + i] as number, i * 4)
      const mark = this.#words[word + addressWords + 1] as number
      if (!visit({ version, source: source.subarray(0, version === 4 ? 4 : 16), mark, time })) return
    }
  }
}
