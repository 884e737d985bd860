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

export class Outbox {
  readonly #waiting = new Map<string, Unsent>()
  /** How many were given up, because there were too many. */
  dropped = 0

  constructor(readonly most: number) {}

  get size(): number {
    return this.#waiting.size
  }

  add(message: Unsent): void {
    const { service, source } = message
    const key = nameOfWord(message)
    const replaces = key === nameOf('both', service, source) ? (['knock', 'hand', 'both'] as const) : [message.by]
    for (const of of replaces) this.#waiting.delete(nameOf(of, service, source))
    if (this.#waiting.size >= this.most) {
      const oldest = this.#oldestGrant()
      if (oldest !== undefined) this.#waiting.delete(oldest)
      else if (message.kind === 'grant') {
        this.dropped++
        return
      }
      this.dropped++
    }
    this.#waiting.set(key, message)
  }

  /** The first of those that are not over yet. */
  take(most: number, now: number): Unsent[] {
    const taken: Unsent[] = []
    for (const [key, message] of this.#waiting) {
      if (taken.length >= most) break
      this.#waiting.delete(key)
      if (message.until > now) taken.push(message)
    }
    return taken
  }

  /** A revocation is worth more: without a grant a source knocks again. */
  #oldestGrant(): string | undefined {
    for (const [key, { kind }] of this.#waiting) if (kind === 'grant') return key
    return undefined
  }
}
