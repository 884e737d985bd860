/** What is to be told to the others: kept while the engine is away, the latest of each service and source only. */
import type { GrantMessage } from './message.js'

export type Unsent = Omit<GrantMessage, 'node' | 'epoch' | 'sequence'>

export class Outbox {
  readonly #waiting = new Map<string, Unsent>()
  /** How many were given up, because there were too many. */
  dropped = 0

  constructor(readonly most: number) {}

  get size(): number {
    return this.#waiting.size
  }

  add(message: Unsent): void {
    const key = [message.by, message.service, message.source].join(' ')
    this.#waiting.delete(key)
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
