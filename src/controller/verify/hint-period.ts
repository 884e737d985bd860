/** The hints of all credentials of a rotating format in one period, which are made in parts: there may be very many. */
import type { KnockFormat, PacketRotation } from '../../knock/index.js'

interface HintedSecret {
  readonly secret: unknown
}

/** Those that begin their packets alike. */
interface SecretsOfWord<E> {
  /** Of any of them. */
  readonly secret: unknown
  readonly byHint: Map<string, E[]>
}

/** By first word. */
export type PeriodTable<E> = ReadonlyMap<number, readonly SecretsOfWord<E>[]>

export class HintPeriod<E extends HintedSecret> {
  readonly #byWord = new Map<number, SecretsOfWord<E>[]>()
  readonly #groups = new Map<string, SecretsOfWord<E>>()
  #next = 0

  /** `start`: of the period, in Unix seconds. */
  constructor(
    readonly format: KnockFormat,
    readonly rotation: PacketRotation,
    readonly entries: readonly E[],
    readonly start: number,
  ) {}

  /** Adds the next `count` credentials; true when it has all of them. */
  advance(count: number): boolean {
    const end = this.start < 0 ? 0 : Math.min(this.#next + count, this.entries.length)
    while (this.#next < end) this.#add(this.entries[this.#next++] as E)
    return this.start < 0 || this.#next === this.entries.length
  }

  /** As far as it is made. */
  get table(): PeriodTable<E> {
    return this.#byWord
  }

  #add(entry: E): void {
    const { secret } = entry
    const { byHint } = this.#groupOf(secret)
    const hint = this.rotation.hintOf(secret, this.start)
    byHint.set(hint, [...(byHint.get(hint) ?? []), entry])
  }

  #groupOf(secret: unknown): SecretsOfWord<E> {
    const word = this.format.firstWord(secret, this.start)
    const name = `${word} ${this.rotation.secondWord(secret, this.start)}`
    const known = this.#groups.get(name)
    if (known) return known
    const group = { secret, byHint: new Map<string, E[]>() }
    this.#groups.set(name, group)
    this.#byWord.set(word, [...(this.#byWord.get(word) ?? []), group])
    return group
  }
}
