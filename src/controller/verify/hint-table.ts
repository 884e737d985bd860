/**
 * Finds the credentials that a packet of a rotating format can be for, however many there are: by its first words, which
 * all users of one identity have, and by its hint, which one of them has in one period.
 */
import type { KnockFormat, PacketRotation } from '../../knock/index.js'
import type { PeriodTable } from './hint-period.js'
import { HintPeriod } from './hint-period.js'

interface HintedSecret {
  readonly format: KnockFormat
  readonly secret: unknown
}

/** Each takes some microseconds, in the thread that answers packets. */
const entriesAtOnce = 100

export class HintTable<E extends HintedSecret> {
  readonly #entries: E[] = []
  /** By the start of the period: the present one first. */
  #periods = new Map<number, PeriodTable<E>>()
  #tables: readonly PeriodTable<E>[] = []
  /** Of the period that the next turn adds. */
  #coming: HintPeriod<E> | undefined
  /** When the tables count, in Unix seconds: until another period is the present one. */
  #from = Infinity
  #until = -Infinity

  constructor(
    readonly format: KnockFormat,
    readonly rotation: PacketRotation,
  ) {}

  add(entry: E): void {
    this.#entries.push(entry)
    this.#periods.clear()
    this.#coming = undefined
    this.#until = -Infinity
  }

  /** Undefined for a packet that no credential's packets begin like at `now`, in Unix seconds, or in the next periods. */
  find(bytes: Buffer, at: number, now: number): readonly E[] | undefined {
    if (now < this.#from || now >= this.#until) this.#turn(now)
    const word = bytes.readUInt32BE(at)
    let found: readonly E[] | undefined
    for (const table of this.#tables) {
      const groups = table.get(word)
      if (!groups) continue
      for (const { secret, byHint } of groups) {
        found = byHint.get(this.rotation.hintIn(bytes, at, secret)) ?? []
        if (found.length > 0) return found
      }
    }
    return found
  }

  /**
   * Makes some of what the next turn needs: a packet that came right after it would wait for all of it. True while there is
   * more to do.
   */
  prepare(): boolean {
    if (!this.#coming || !this.#coming.advance(entriesAtOnce)) return this.#coming !== undefined
    this.#periods.set(this.#coming.start, this.#coming.table)
    this.#coming = undefined
    return false
  }

  /** What is known of a period stays known; of each turn one is new. */
  #turn(now: number): void {
    const { periodSeconds } = this.rotation
    const present = now - (now % periodSeconds)
    const starts = [present, present - periodSeconds, present + periodSeconds]
    const coming = this.#coming
    const known = new Map(starts.map(start => [start, this.#periods.get(start) ?? this.#tableAt(start, coming)]))
    this.#periods = known
    this.#tables = [...known.values()]
    this.#from = present
    this.#until = present + periodSeconds
    this.#coming = this.#begin(present + 2 * periodSeconds)
  }

  #tableAt(start: number, coming: HintPeriod<E> | undefined): PeriodTable<E> {
    const period = coming?.start === start ? coming : this.#begin(start)
    period.advance(Infinity)
    return period.table
  }

  #begin(start: number): HintPeriod<E> {
    return new HintPeriod(this.format, this.rotation, this.#entries, start)
  }
}
