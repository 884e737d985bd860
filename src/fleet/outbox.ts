/** What is to be told to the others: kept while the engine is away, the latest of each service and source only. */
import type { GrantMessage } from './message.js'

export type Unsent = Omit<GrantMessage, 'node' | 'epoch' | 'sequence'>

/**
 * Words with the same name replace each other. A revocation by hand takes back what knocks have made as well, so it is none of
 * the two, and stays where something is granted after it.
 */
export const nameOfWord = ({ kind, by, service, source }: Pick<Unsent, 'kind' | 'by' | 'service' | 'source'>) =>
  nameOf(kind === 'revoke' && by === 'hand' ? 'both' : by, service, source)

const nameOf = (of: 'knock' | 'hand' | 'both', service: string, source: string) => `${of} ${service} ${source}`

/** The names of all words of a source. */
export const namesOfWords = (service: string, source: string): string[] =>
  (['knock', 'hand', 'both'] as const).map(of => nameOf(of, service, source))

export class Outbox {
  /** A revocation is worth more: it goes first, and without a grant a source knocks again. */
  readonly #revocations = new Map<string, Unsent>()
  readonly #grants = new Map<string, Unsent>()
  /** How many were given up, because there were too many. */
  dropped = 0

  constructor(readonly most: number) {}

  get size(): number {
    return this.#revocations.size + this.#grants.size
  }

  has(service: string, source: string): boolean {
    return namesOfWords(service, source).some(name => this.#revocations.has(name) || this.#grants.has(name))
  }

  *[Symbol.iterator](): Generator<Unsent> {
    yield* this.#revocations.values()
    yield* this.#grants.values()
  }

  add(message: Unsent): void {
    const { service, source, kind } = message
    const key = nameOfWord(message)
    const replaced = key === nameOf('both', service, source) ? namesOfWords(service, source) : [key]
    for (const name of replaced) {
      this.#revocations.delete(name)
      this.#grants.delete(name)
    }
    if (this.size >= this.most) {
      const [oldest] = this.#grants.keys()
      if (oldest !== undefined) this.#grants.delete(oldest)
      else if (kind === 'grant') {
        this.dropped++
        return
      }
      this.dropped++
    }
    if (kind === 'revoke') this.#revocations.set(key, message)
    else this.#grants.set(key, message)
  }

  /** The first of those that are not over yet. */
  take(most: number, now: number): Unsent[] {
    const taken: Unsent[] = []
    for (const words of [this.#revocations, this.#grants]) {
      for (const [key, message] of words) {
        if (taken.length >= most) return taken
        words.delete(key)
        if (message.until > now) taken.push(message)
      }
    }
    return taken
  }
}
