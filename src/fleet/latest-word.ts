/**
 * What the fleet last said of each service and source. The latest word counts, in whatever order the words come: by when it was made,
 * then by the name of its node, its epoch and its number. What knocks have made and what hands have made are two words, because
 * a knock that closes takes back only what knocks have made; a revocation by hand takes back both.
 */
import type { GrantedBy, GrantMessage } from './message.js'

/** What a source has of a service by the fleet. */
interface FleetGrant {
  readonly by: GrantedBy
  /** Unix milliseconds. */
  readonly until: number
  /** Which node has made it. */
  readonly node: string
}

const kindsOfWord = ['knock', 'hand'] as const

export class LatestWords {
  readonly #words: Readonly<Record<GrantedBy, Map<string, GrantMessage>>> = { knock: new Map(), hand: new Map() }
  /** How many words each node has given that are kept. */
  readonly #counts = new Map<string, number>()

  /** `mostPerNode` are kept of each node: further ones do not count. */
  constructor(readonly mostPerNode: number) {}

  /** `late`: there is a later word, or it is this one. */
  take(message: GrantMessage): 'counts' | 'late' | 'too-many' {
    const key = keyOf(message.service, message.source)
    const of = message.kind === 'revoke' && message.by === 'hand' ? kindsOfWord : [message.by]
    const earlier = of.filter(by => isLater(message, this.#words[by].get(key)))
    if (earlier.length === 0) return 'late'
    const isKnown = earlier.some(by => this.#words[by].get(key)?.node === message.node)
    // Revocations count in any case: they open nothing, and there is one for each grant at most that was kept.
    const isFull = (this.#counts.get(message.node) ?? 0) >= this.mostPerNode
    if (isFull && !isKnown && (message.kind === 'grant' || !this.#has(key))) return 'too-many'
    for (const by of earlier) this.#set(by, key, message)
    return 'counts'
  }

  /** What runs for the source; undefined where nothing does. */
  grantOf(service: string, source: string, now: number): FleetGrant | undefined {
    let longest: GrantMessage | undefined
    for (const by of kindsOfWord) {
      const word = this.#words[by].get(keyOf(service, source))
      if (word?.kind === 'grant' && word.until > now && word.until > (longest?.until ?? 0)) longest = word
    }
    return longest && { by: longest.by, until: longest.until, node: longest.node }
  }

  /** Whether the last word is that it was revoked, for what knocks and for what hands have made. */
  revokedOf(service: string, source: string, now: number): GrantedBy[] {
    const key = keyOf(service, source)
    return kindsOfWord.filter(by => {
      const word = this.#words[by].get(key)
      return word?.kind === 'revoke' && word.until > now
    })
  }

  /** All grants that run. */
  *running(now: number): Generator<GrantMessage> {
    for (const by of kindsOfWord)
      for (const word of this.#words[by].values()) if (word.kind === 'grant' && word.until > now) yield word
  }

  /** Everything that is not over, revocations, too, by this node. */
  *by(node: string, now: number): Generator<GrantMessage> {
    for (const by of kindsOfWord) {
      for (const word of this.#words[by].values()) {
        if (word.node === node && word.until > now && word.by === by) yield word
      }
    }
  }

  /** Forgets what is over. */
  tidy(now: number): void {
    for (const by of kindsOfWord) {
      for (const [key, word] of this.#words[by]) {
        if (word.until > now) continue
        this.#words[by].delete(key)
        this.#count(word.node, -1)
      }
    }
  }

  #has(key: string): boolean {
    return kindsOfWord.some(by => this.#words[by].has(key))
  }

  #set(by: GrantedBy, key: string, message: GrantMessage): void {
    const earlier = this.#words[by].get(key)
    if (earlier) this.#count(earlier.node, -1)
    this.#words[by].set(key, message)
    this.#count(message.node, 1)
  }

  #count(node: string, more: number): void {
    const count = (this.#counts.get(node) ?? 0) + more
    if (count > 0) this.#counts.set(node, count)
    else this.#counts.delete(node)
  }
}

const keyOf = (service: string, source: string) => `${service} ${source}`

function isLater(one: GrantMessage, other: GrantMessage | undefined): boolean {
  if (!other) return true
  if (one.made !== other.made) return one.made > other.made
  if (one.node !== other.node) return one.node > other.node
  if (one.epoch !== other.epoch) return one.epoch > other.epoch
  return one.sequence > other.sequence
}
