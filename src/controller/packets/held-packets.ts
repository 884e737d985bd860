/**
 * Packets whose answer waits: knocks for the verification of their signature, or for their claim in the fleet, and connections
 * for the knock before them, or for the grant that a command makes for it. How many there are, and for how long, is bounded.
 */
import type { HeldAnswer, Packet } from '../../queue/index.js'
import { copyOfPacket } from '../../queue/index.js'
import type { GrantDecision, Refusal } from '../verify/decision.js'

/** A knock whose signature is being verified, or that is being claimed. */
export interface HeldKnock {
  /** Of the job. */
  readonly id: number
  readonly packet: Packet
  /** Connections of the same source that came after it. */
  readonly behind: HeldAnswer[]
  /** Seconds of the monotonic clock. */
  until: number
  /** Empty for a claim. */
  readonly fingerprint: string
  /** What was decided, if it is being claimed. */
  readonly decision?: GrantDecision
  /** Why it is refused where nothing comes in time. */
  late: Refusal
}

/** A knock that was answered, and whose grant a command makes. */
interface AwaitedGrant {
  readonly source: string
  readonly behind: HeldAnswer[]
  until: number
}

const maxKnocks = 256
const maxBehind = 1024
/** Who has more in a time of need gives way to who has less. */
const fairShare = 16
/** What is held is a part of the queue, in which others must find room. */
const shareOfQueue = 4
/** A client has given up by then, and another thread that takes longer does not work. */
const longestSeconds = 3

/** So long packets begin in a way that the kernel lets pass. */
const rememberSeconds = 90
const maxRemembered = 8192

/** Salt and check of a packet: no two packets have the same. */
const fingerprintAt = 8
const fingerprintLength = 32

export class HeldPackets {
  readonly #knocks = new Map<number, HeldKnock>()
  /** How many each network has, by the bytes of its address in latin1. */
  readonly #countOf = new Map<string, number>()
  /** Those that gave way, to be refused with the next late ones. */
  #evicted: HeldKnock[] = []
  /** The last knock of each source, by the bytes of its address in latin1. */
  readonly #lastOf = new Map<string, HeldKnock>()
  readonly #inFlight = new Set<string>()
  /** By the number that the effect has. */
  readonly #awaited = new Map<number, AwaitedGrant>()
  /** The last one of each source. */
  readonly #awaitedOf = new Map<string, AwaitedGrant>()
  /** Packets that were verified: a copy of one of them need not be verified again. In two generations. */
  #verified = new Set<string>()
  #verifiedBefore = new Set<string>()
  #turnAt = -Infinity
  #lastId = 0
  #behind = 0
  readonly #maxKnocks: number
  readonly #maxBehind: number

  /** `queueLength`: how many packets the queue has room for. */
  constructor(queueLength: number) {
    const share = Math.max(1, Math.floor(queueLength / shareOfQueue))
    this.#maxKnocks = Math.min(maxKnocks, share)
    this.#maxBehind = Math.min(maxBehind, share)
  }

  /** How many knocks and grants are waited for. */
  get size(): number {
    return this.#knocks.size + this.#awaited.size + this.#evicted.length
  }

  /** Holds a copy of the packet, unless it is itself a copy of another one, or there are too many; `now` is monotonic. */
  hold(packet: Packet, now: number): HeldKnock | 'replayed' | 'signatures-busy' {
    this.#turn(now)
    const at = packet.payloadAt + fingerprintAt
    const fingerprint = packet.buffer.toString('latin1', at, at + fingerprintLength)
    const isKnown =
      this.#inFlight.has(fingerprint) || this.#verified.has(fingerprint) || this.#verifiedBefore.has(fingerprint)
    if (isKnown) return 'replayed'
    if (this.#knocks.size >= this.#maxKnocks && !this.#makeRoomFor(packet)) return 'signatures-busy'
    const until = now + longestSeconds
    this.#inFlight.add(fingerprint)
    const id = ++this.#lastId
    return this.#add({ id, packet: copyOfPacket(packet), behind: [], until, fingerprint, late: 'signatures-late' })
  }

  /**
   * Holds a copy of a packet of which it is decided that it is granted if it can be claimed, with the connections of `behind`, which
   * it takes out.
   */
  holdClaim(packet: Packet, decision: GrantDecision, now: number, behind: HeldAnswer[] = []): HeldKnock | 'fleet-busy' {
    if (this.#knocks.size >= this.#maxKnocks) return 'fleet-busy'
    const [id, until, copy] = [++this.#lastId, now + longestSeconds, copyOfPacket(packet)]
    const taken = behind.splice(0)
    this.#behind += taken.length
    const moved = movedTo(decision, copy.payloadAt - packet.payloadAt)
    return this.#add({ id, packet: copy, behind: taken, until, fingerprint: '', decision: moved, late: 'fleet-late' })
  }

  /** It will not be claimed after all, and is refused with the next late ones. */
  giveUpClaim(knock: HeldKnock, reason: Refusal): void {
    knock.until = -Infinity
    knock.late = reason
  }

  /**
   * Gives up the last knock of the network that has the most, if that is much more than the network of the packet has: one
   * sender of rubbish, which has the identity of the server, must not keep the knocks of all others out.
   */
  #makeRoomFor(packet: Packet): boolean {
    if (this.#evicted.length >= Math.max(1, this.#maxKnocks / shareOfQueue)) return false
    const own = this.#countOf.get(networkOf(packet)) ?? 0
    let [most, network] = [Math.max(own + 1, fairShare), '']
    for (const [name, count] of this.#countOf) if (count > most) [most, network] = [count, name]
    if (network === '') return false
    let last: HeldKnock | undefined
    for (const knock of this.#knocks.values()) if (!knock.decision && networkOf(knock.packet) === network) last = knock
    const evicted = last && this.#remove(last.id)
    if (!evicted) return false
    evicted.late = 'signatures-busy'
    this.#evicted.push(evicted)
    return true
  }

  #takeEvicted(): HeldKnock[] {
    const evicted = this.#evicted
    if (evicted.length > 0) this.#evicted = []
    return evicted
  }

  #add(knock: HeldKnock): HeldKnock {
    this.#knocks.set(knock.id, knock)
    const network = networkOf(knock.packet)
    this.#countOf.set(network, (this.#countOf.get(network) ?? 0) + 1)
    this.#lastOf.set(sourceOf(knock.packet), knock)
    return knock
  }

  /**
   * Holds the connections of its source that come behind the knock, and those of `behind`, which it takes out, until the grant
   * is made. The number to call `release` with; undefined where too many are waited for.
   */
  awaitGrant(packet: Packet, now: number, behind: HeldAnswer[] = []): number | undefined {
    if (this.#awaited.size >= this.#maxKnocks) return undefined
    const source = sourceOf(packet)
    const grant = { source, behind: behind.splice(0), until: now + longestSeconds }
    this.#behind += grant.behind.length
    this.#awaited.set(++this.#lastId, grant)
    this.#awaitedOf.set(source, grant)
    return this.#lastId
  }

  /** The grant is made, or will not be: what waited for it. */
  release(id: number): readonly HeldAnswer[] {
    const grant = this.#awaited.get(id)
    if (!grant) return []
    this.#awaited.delete(id)
    if (this.#awaitedOf.get(grant.source) === grant) this.#awaitedOf.delete(grant.source)
    this.#behind -= grant.behind.length
    return grant.behind
  }

  /** The grant will not be asked for: no more connections wait for it, and those that do go on with the next late ones. */
  forgo(id: number): void {
    const grant = this.#awaited.get(id)
    if (!grant) return
    grant.until = -Infinity
    if (this.#awaitedOf.get(grant.source) === grant) this.#awaitedOf.delete(grant.source)
  }

  /** What has waited for too long for a grant; without `now`, all that waits for one. */
  releaseLate(now = Infinity): HeldAnswer[] {
    return [...this.#awaited].flatMap(([id, { until }]) => (until <= now ? this.release(id) : []))
  }

  /** Holds a connection behind the last knock of its source; false where there is none, or are too many connections. */
  holdBehind(packet: Packet, mark: number): boolean {
    if (packet.version === 0 || this.#behind >= this.#maxBehind) return false
    const source = sourceOf(packet)
    const last = this.#lastOf.get(source) ?? this.#awaitedOf.get(source)
    if (!last) return false
    last.behind.push({ id: packet.id, mark })
    this.#behind++
    return true
  }

  /** The knock whose verification, or claim, has ended; undefined where it was answered before. */
  take(id: number): HeldKnock | undefined {
    const knock = this.#remove(id)
    if (knock && !knock.decision) this.#verified.add(knock.fingerprint)
    return knock
  }

  /** Those that have waited for too long. */
  takeLate(now: number): HeldKnock[] {
    const late = [...this.#knocks.values()].flatMap(({ id, until }) => (until <= now ? (this.#remove(id) ?? []) : []))
    return [...this.#takeEvicted(), ...late]
  }

  takeAll(): HeldKnock[] {
    return [...this.#takeEvicted(), ...[...this.#knocks.keys()].flatMap(id => this.#remove(id) ?? [])]
  }

  #remove(id: number): HeldKnock | undefined {
    const knock = this.#knocks.get(id)
    if (!knock) return undefined
    this.#knocks.delete(id)
    this.#inFlight.delete(knock.fingerprint)
    this.#behind -= knock.behind.length
    const network = networkOf(knock.packet)
    const left = (this.#countOf.get(network) ?? 0) - 1
    if (left > 0) this.#countOf.set(network, left)
    else this.#countOf.delete(network)
    const source = sourceOf(knock.packet)
    if (this.#lastOf.get(source) === knock) this.#lastOf.delete(source)
    return knock
  }

  #turn(now: number): void {
    if (now < this.#turnAt && this.#verified.size < maxRemembered) return
    this.#verifiedBefore = this.#verified
    this.#verified = new Set()
    this.#turnAt = now + rememberSeconds
  }
}

/** The decision, for a copy of the packet. */
function movedTo(decision: GrantDecision, by: number): GrantDecision {
  const { knock, more } = decision
  const moved = { ...decision, knock: { ...knock, digestAt: knock.digestAt + by } }
  return more ? { ...moved, more: more.map(one => movedTo(one, by)) } : moved
}

const sourceOf = ({ buffer, sourceAt, version }: Packet) =>
  buffer.toString('latin1', sourceAt, sourceAt + (version === 4 ? 4 : 16))

/** Who has one address of an IPv6 /64 has all of them. */
const networkOf = ({ buffer, sourceAt, version }: Packet) =>
  buffer.toString('latin1', sourceAt, sourceAt + (version === 4 ? 4 : 8))
