/**
 * Finds the credentials that a packet of a rotating format can be for, however many there are: by its first words, which
 * all users of one identity have, and by its hint, which one of them has in one period.
 */
import type { KnockFormat } from '../../knock/index.js'

interface Entry {
  readonly format: KnockFormat
  readonly secret: unknown
}

/** Those that begin their packets alike. */
interface Group<E> {
  /** Of any of them. */
  readonly secret: unknown
  readonly byHint: Map<string, E[]>
}

/** By first word; in one period. */
type PeriodTable<E> = ReadonlyMap<number, readonly Group<E>[]>

type Rotation = NonNullable<KnockFormat['rotation']>

export class HintTable<E extends Entry> {
  readonly #entries: E[] = []
  /** By the start of the period: the present one first. */
  #periods = new Map<number, PeriodTable<E>>()
  #tables: readonly PeriodTable<E>[] = []
  /** When the tables count, in Unix seconds: until another period is the present one. */
  #from = Infinity
  #until = -Infinity

  constructor(
    readonly format: KnockFormat,
    readonly rotation: Rotation,
  ) {}

  add(entry: E): void {
    this.#entries.push(entry)
    this.#periods.clear()
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

  /** What is known of a period stays known; of each turn one is new. */
  #turn(now: number): void {
    const { periodSeconds } = this.rotation
    const present = now - (now % periodSeconds)
    const starts = [present, present - periodSeconds, present + periodSeconds]
    this.#periods = new Map(starts.map(start => [start, this.#periods.get(start) ?? this.#tableAt(start)]))
    this.#tables = [...this.#periods.values()]
    this.#from = present
    this.#until = present + periodSeconds
  }

  #tableAt(start: number): PeriodTable<E> {
    const groups = new Map<string, Group<E> & { readonly word: number }>()
    if (start < 0) return new Map()
    for (const entry of this.#entries) {
      const { secret } = entry
      const word = this.format.firstWord(secret, start)
      const name = `${word} ${this.rotation.secondWord(secret, start)}`
      const group = groups.get(name) ?? { word, secret, byHint: new Map<string, E[]>() }
      groups.set(name, group)
      const hint = this.rotation.hintOf(secret, start)
      group.byHint.set(hint, [...(group.byHint.get(hint) ?? []), entry])
    }
    const table = new Map<number, Group<E>[]>()
    for (const group of groups.values()) table.set(group.word, [...(table.get(group.word) ?? []), group])
    return table
  }
}
