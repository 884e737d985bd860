/**
 * Who may in: judges the packets that left the kernel. The checks come in an order in which a stranger can change
 * nothing: shape, tag, hash, time, replay, rate limit; memory is touched only behind the hash.
 *
 * Runs on the packet path, so the common ways through it make no objects but the decision.
 */
import { BlockList } from 'node:net'
import type { Requested } from '../knock/pkd-on-behalf.js'
import { oboDigestOffset, oboPayloadLength, requestedAddress, verifyObo } from '../knock/pkd-on-behalf.js'
import type { PkdKey } from '../knock/pkd.js'
import { digestOffset, payloadLength, readTime, verifyPkd } from '../knock/pkd.js'
import { splitPrefix } from '../net/prefixes.js'
import { protocolUdp } from '../net/protocols.js'
import type { Packet } from '../queue/packet.js'
import type { Rate } from './rate-limiter.js'
import { RateLimiter } from './rate-limiter.js'
import type { ReplayCache } from './replay-cache.js'

/** A credential, as far as the packet path needs it. */
export interface PacketCredential {
  readonly name: string
  readonly tag: Buffer
  readonly key: PkdKey
  /** UDP port that knocks must be sent to; null for every port. */
  readonly port: number | null
  /** Seconds either way; -1 for any clock. */
  readonly skew: number
  readonly rate: Rate | null
  /** The number of the kernel's plan that grants what the credential opens. */
  readonly plan: number
  /** Prefixes in which an address may be asked for instead of the sender's own; empty when none may. */
  readonly onBehalfOf: readonly string[]
  /** Whether that plan takes a grant back. */
  readonly revokes: boolean
  /** Whether something is to be run as well. */
  readonly triggers: boolean
}

/** Why a knock was refused. */
export const refusals = [
  'malformed',
  'unknown-tag',
  'wrong-port',
  'bad-hash',
  'skewed',
  'replayed',
  'stale',
  'rate-limited',
  'address-not-allowed',
  'line-unmarked',
  'memory-full',
  'state-unwritable',
] as const
export type Refusal = (typeof refusals)[number]

/** What anybody can cause. */
export const refusedUnverified: ReadonlySet<Refusal> = new Set(['malformed', 'unknown-tag', 'wrong-port', 'bad-hash'])
/** What a copy of a right knock is enough for. */
export const refusedCopies: ReadonlySet<Refusal> = new Set(['skewed', 'replayed', 'stale'])

/** What policy concluded of one knock. The reason is for the operator; the sender never sees it. */
export type Decision =
  | {
      readonly kind: 'grant'
      readonly credential: PacketCredential
      readonly time: number
      readonly skewSeconds: number
      /** The address that is to be granted instead of the source. */
      readonly requested?: Requested
    }
  | {
      readonly kind: 'refuse'
      readonly reason: Refusal
      readonly credential?: PacketCredential
      /** Set behind a right hash: the knock's own time, in Unix seconds. */
      readonly time?: number
      /** How far the client's clock is ahead of ours; known behind a right hash. */
      readonly skewSeconds?: number
    }

export interface Clock {
  /** Unix seconds. */
  now(): number
  /** Seconds that never go back. */
  monotonic(): number
}

/** Gives a credential its memory of knocks, the same one after a reload. */
type MemoryOf = (credential: PacketCredential) => ReplayCache

interface Lock {
  readonly credential: PacketCredential
  /** Which addresses may be asked for; null when none may. */
  readonly allowed: Prefixes | null
  readonly memory: ReplayCache
  readonly limiter: RateLimiter | null
}

const refuse = (reason: Refusal): Decision => ({ kind: 'refuse', reason })
const malformed = refuse('malformed')
const unknownTag = refuse('unknown-tag')
const wrongPort = refuse('wrong-port')
const badHash = refuse('bad-hash')

export class KnockVerifier {
  readonly #locks = new Map<number, Lock[]>()
  readonly #clock: Clock

  constructor(credentials: readonly PacketCredential[], memoryOf: MemoryOf, clock: Clock) {
    this.#clock = clock
    for (const credential of credentials) {
      const word = credential.tag.readUInt32BE(0)
      const limiter = credential.rate ? new RateLimiter(credential.rate) : null
      const lock = { credential, memory: memoryOf(credential), limiter, allowed: prefixList(credential.onBehalfOf) }
      this.#locks.set(word, [...(this.#locks.get(word) ?? []), lock])
    }
  }

  /** Judges one packet. A granted one is used up from now on, whatever becomes of the answer. */
  verify(packet: Packet): Decision {
    if (packet.version === 0 || packet.protocol !== protocolUdp) return malformed
    const { buffer, payloadAt, destinationPort } = packet
    const plain = packet.payloadLength === payloadLength
    if (!plain && packet.payloadLength !== oboPayloadLength) return malformed
    const verify = plain ? verifyPkd : verifyObo
    const locks = this.#locks.get(buffer.readUInt32BE(payloadAt))
    if (!locks) return unknownTag
    let outcome = wrongPort
    for (const lock of locks) {
      const { credential } = lock
      if (credential.port !== null && credential.port !== destinationPort) continue
      if (verify(buffer, payloadAt, destinationPort, credential.key)) return this.#decideVerified(packet, lock, plain)
      outcome = badHash
    }
    return outcome
  }

  #decideVerified(packet: Packet, { credential, memory, limiter, allowed }: Lock, plain: boolean): Decision {
    const { buffer, payloadAt } = packet
    const now = this.#clock.now()
    const time = readTime(buffer, payloadAt)
    const skewSeconds = time - Math.floor(now)
    const refused = (reason: Refusal): Decision => ({ kind: 'refuse', reason, credential, time, skewSeconds })
    if (credential.skew >= 0 && Math.abs(skewSeconds) > credential.skew) return refused('skewed')
    const digestAt = digestOfKnock(packet)
    const answer = memory.judge(buffer, digestAt, time, Math.floor(now))
    if (answer === 'full') return refused('memory-full')
    if (answer !== 'new') return refused(answer)
    memory.remember(buffer, digestAt, time)
    const withinRate =
      limiter?.take(packet.version === 6 ? 6 : 4, buffer, packet.sourceAt, this.#clock.monotonic()) ?? true
    if (!withinRate) return refused('rate-limited')
    if (plain) return { kind: 'grant', credential, time, skewSeconds }
    const requested = requestedAddress(buffer, payloadAt)
    if (!requested || !allowed || !isIn(allowed, requested)) return refused('address-not-allowed')
    return { kind: 'grant', credential, time, skewSeconds, requested }
  }
}

/** Where the digest of a knock that is right starts. */
export const digestOfKnock = ({ payloadAt, payloadLength: length }: Packet): number =>
  length === oboPayloadLength ? oboDigestOffset(payloadAt) : digestOffset(payloadAt)

type Prefixes = Readonly<Record<4 | 6, BlockList>>

// A list for each: in one of both, an address of IPv4 would also be looked for as its form in IPv6, and ::/0 has all.
function prefixList(prefixes: readonly string[]): Prefixes | null {
  if (prefixes.length === 0) return null
  const lists = { 4: new BlockList(), 6: new BlockList() }
  for (const prefix of prefixes) {
    const { version, address, length } = splitPrefix(prefix)
    lists[version].addSubnet(address, length, `ipv${version}`)
  }
  return lists
}

const isIn = (lists: Prefixes, { version, address }: Requested): boolean =>
  lists[version].check(address, `ipv${version}`)
