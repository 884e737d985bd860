/**
 * What the fleet last said of each service and source: the latest word counts, in whatever order and however often the words come.
 * What knocks have made and what hands have made are two words, because a knock that closes takes back only what knocks have
 * made; a revocation by hand takes back both.
 *
 * A word is kept after its end, for as long as an earlier one could still open: the longest time that a grant can run, and the
 * tolerance of clocks. So no earlier word comes back behind it, be it that a part of the fleet was cut off, or that the engine shows it
 * again. Where there is no room for that, what is forgotten leaves the time at which it was made behind as the *floor*: no grant
 * that was made by then counts any more. So neither a revocation nor the end of a grant is ever lost, only grants that come late.
 */
import type { FleetMessage } from './message.js'

type GrantMessage = Exclude<FleetMessage, { kind: 'hello' }>
type GrantedBy = GrantMessage['by']

/** Milliseconds. */
interface SharedGrantLimits {
  /** How many words of each node are kept. */
  readonly mostPerNode: number
  readonly longestWindow: number
  /** How far a clock can be set back. */
  readonly tolerance: number
}

/** What a source has of a service by the fleet. */
interface SharedGrant {
  readonly by: GrantedBy
  /** Unix milliseconds. */
  readonly until: number
  /** Which node has made it. */
  readonly node: string
}

/**
 * `late`: there is a later word, or it is this one, or later ones may be forgotten. `too-many`: a grant for which there is no room;
 * nothing is to be done for either. After `counts` the kernel must have what `grantOf` and `revocationOf` say.
 */
type Taken = 'counts' | 'late' | 'too-many'

const kindsOfWord = ['knock', 'hand'] as const

export class SharedGrants {
  readonly #words: Readonly<Record<GrantedBy, Map<string, GrantMessage>>> = { knock: new Map(), hand: new Map() }
  /** How many words of each node are kept. */
  readonly #counts = new Map<string, number>()
  /** Until when all words of a node run for which there was no room. */
  readonly #fullUntil = new Map<string, number>()
  #floor = -Infinity

  constructor(readonly limits: SharedGrantLimits) {}

  /** How many words are kept. */
  get size(): number {
    return this.#words.knock.size + this.#words.hand.size
  }

  take(message: GrantMessage, now: number): Taken {
    const { node, kind, made, service, source } = message
    const key = keyOf(service, source)
    const of = kind === 'revoke' && message.by === 'hand' ? kindsOfWord : [message.by]
    const earlier = of.filter(by => isLater(message, this.#words[by].get(key)))
    if (earlier.length === 0) return 'late'
    // Also where an earlier word is known, which may have come after the forgotten one.
    if (kind === 'grant' && made <= this.#floor) return 'late'
    for (const by of earlier) {
      const replaces = this.#words[by].get(key)?.node === node
      if (replaces || this.#hasRoom(node, now)) this.#set(by, key, message)
      else if (kind === 'grant') return 'too-many'
      else this.#forgo(by, key, made)
    }
    return 'counts'
  }

  /** What runs for the source, and longest; undefined where nothing does. */
  grantOf(service: string, source: string, now: number): SharedGrant | undefined {
    let longest: GrantMessage | undefined
    for (const by of kindsOfWord) {
      const word = this.#words[by].get(keyOf(service, source))
      if (word?.kind === 'grant' && this.#endOf(word) > now && this.#endOf(word) > (longest?.until ?? 0)) longest = word
    }
    return longest && { by: longest.by, until: this.#endOf(longest), node: longest.node }
  }

  /** What was revoked, and not granted since: `hand` stands for both. Where nothing is known, nothing was granted either. */
  revocationOf(service: string, source: string): GrantedBy | undefined {
    const [knock, hand] = kindsOfWord.map(by => this.#words[by].get(keyOf(service, source)))
    if (hand?.kind === 'revoke') return 'hand'
    return knock?.kind === 'revoke' ? 'knock' : undefined
  }

  /** The same word by word: of what knocks have made, and of what hands have. */
  revokedOf(service: string, source: string): GrantedBy[] {
    return kindsOfWord.filter(by => this.#words[by].get(keyOf(service, source))?.kind === 'revoke')
  }

  /**
   * When the next word of this node for the source is made: it follows all that the node has heard, though another clock may be ahead.
   * So a revocation takes back what it was made for.
   */
  madeNext(service: string, source: string, now: number): number {
    const words = kindsOfWord.flatMap(by => this.#words[by].get(keyOf(service, source)) ?? [])
    return Math.max(now, ...words.map(({ made }) => made + 1))
  }

  /** All grants that run. */
  *running(now: number): Generator<GrantMessage> {
    for (const by of kindsOfWord)
      for (const word of this.#words[by].values()) if (word.kind === 'grant' && this.#endOf(word) > now) yield word
  }

  /** All words of this node that are kept, revocations and what is over, too: each of them holds back earlier ones. */
  *by(node: string): Generator<GrantMessage> {
    for (const by of kindsOfWord) {
      for (const [key, word] of this.#words[by]) {
        const isTwice = by === 'hand' && this.#words.knock.get(key) === word
        if (word.node === node && !isTwice) yield word
      }
    }
  }

  /** Forgets what no earlier word can come behind. To be called at intervals. */
  tidy(now: number): void {
    const { longestWindow, tolerance } = this.limits
    for (const by of kindsOfWord) {
      for (const [key, { made }] of this.#words[by]) {
        if (made + longestWindow + tolerance <= now) this.#forget(by, key)
      }
    }
  }

  /** No grant runs for longer, whatever it says. */
  #endOf = ({ made, until }: GrantMessage): number => Math.min(until, made + this.limits.longestWindow)

  /** Whether there is room for one more word of the node; what is over makes room, an eighth at once. */
  #hasRoom(node: string, now: number): boolean {
    const { mostPerNode } = this.limits
    if ((this.#counts.get(node) ?? 0) < mostPerNode) return true
    if (now < (this.#fullUntil.get(node) ?? -Infinity)) return false
    const over: { by: GrantedBy; key: string; made: number }[] = []
    let nextEnd = Infinity
    for (const by of kindsOfWord) {
      for (const [key, word] of this.#words[by]) {
        if (word.node !== node) continue
        const end = word.kind === 'revoke' ? -Infinity : this.#endOf(word)
        if (end <= now) over.push({ by, key, made: word.made })
        else nextEnd = Math.min(nextEnd, end)
      }
    }
    over.sort((a, b) => a.made - b.made)
    for (const { by, key } of over.slice(0, Math.max(1, mostPerNode >> 3))) this.#forget(by, key)
    if (over.length === 0) this.#fullUntil.set(node, nextEnd)
    return over.length > 0
  }

  /** A revocation without room: the floor keeps away all that it could be for. */
  #forgo(by: GrantedBy, key: string, made: number): void {
    if (this.#words[by].has(key)) this.#forget(by, key)
    this.#floor = Math.max(this.#floor, made)
  }

  #forget(by: GrantedBy, key: string): void {
    const word = this.#words[by].get(key)
    if (!word) return
    this.#words[by].delete(key)
    this.#count(word.node, -1)
    this.#floor = Math.max(this.#floor, word.made)
  }

  #set(by: GrantedBy, key: string, message: GrantMessage): void {
    const earlier = this.#words[by].get(key)
    if (earlier) this.#count(earlier.node, -1)
    this.#words[by].set(key, message)
    this.#count(message.node, 1)
    if (message.kind === 'revoke') this.#fullUntil.delete(message.node)
  }

  #count(node: string, more: number): void {
    const count = (this.#counts.get(node) ?? 0) + more
    if (count > 0) this.#counts.set(node, count)
    else this.#counts.delete(node)
  }
}

const keyOf = (service: string, source: string) => `${service} ${source}`

/** Of two words that say to be the same one, as of a copied server, the one that opens less. */
function isLater(one: GrantMessage, other: GrantMessage | undefined): boolean {
  if (!other) return true
  if (one.made !== other.made) return one.made > other.made
  if (one.node !== other.node) return one.node > other.node
  if (one.epoch !== other.epoch) return one.epoch > other.epoch
  if (one.sequence !== other.sequence) return one.sequence > other.sequence
  if (one.kind !== other.kind) return one.kind === 'revoke'
  return one.kind === 'grant' && one.until < other.until
}
