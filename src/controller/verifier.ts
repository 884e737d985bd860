/**
 * Judges the packets that left the kernel. The checks come in an order in which a stranger can change nothing: shape,
 * first word, the format's own check, time, replay, rate limit; memory is touched only behind the format's check.
 *
 * Runs on the packet path, so the common ways through it make no objects but the decision.
 */
import { BlockList } from 'node:net'
import { knockFormats } from '../config/credentials/credential-types.js'
import type { KnockFormat, KnockFormats, Requested, VerifiedKnock } from '../knock/index.js'
import { protocolUdp, splitPrefix } from '../net/index.js'
import type { Packet } from '../queue/index.js'
import { isLinkLocal } from './link-local.js'
import type { Rate } from './rate-limiter.js'
import { RateLimiter } from './rate-limiter.js'
import type { ReplayCache } from './replay-cache.js'

/** A credential, as far as the packet path needs it. It is posted to another thread: plain values, no functions. */
export interface PacketCredential {
  readonly name: string
  /** Gives the formats of its knocks. */
  readonly type: string
  /** What its formats check packets against. */
  readonly secret: unknown
  /** What its memory of knocks is found by, also under another name. */
  readonly identity: Uint8Array
  /** UDP port that knocks must be sent to; null for every port. */
  readonly port: number | null
  /** Seconds either way; -1 for any clock. */
  readonly skew: number
  readonly rate: Rate | null
  /** The number of the grant action for what the credential opens. */
  readonly action: number
  /** Prefixes in which an address may be asked for instead of the sender's own; empty when none may. */
  readonly onBehalfOf: readonly string[]
  /** Whether that action revokes grants. */
  readonly revokes: boolean
  /** Whether something is to be run as well. */
  readonly triggers: boolean
  /** Whether a link-local source counts: its knock and its grants are limited to one link. */
  readonly linkLocal: boolean
}

/** Why a knock was refused. */
export const refusals = [
  'malformed',
  'unknown-tag',
  'wrong-port',
  'bad-hash',
  'out-of-time',
  'skewed',
  'replayed',
  'stale',
  'rate-limited',
  'address-not-allowed',
  'link-local',
  'line-unmarked',
  'memory-full',
  'state-unwritable',
] as const
export type Refusal = (typeof refusals)[number]

/** What anybody can cause. */
export const refusedUnverified: ReadonlySet<Refusal> = new Set([
  'malformed',
  'unknown-tag',
  'wrong-port',
  'bad-hash',
  'out-of-time',
])
/** What a copy of a right knock is enough for. */
export const refusedCopies: ReadonlySet<Refusal> = new Set(['skewed', 'replayed', 'stale'])

/** What policy concluded of one knock. The reason is for the operator; the sender never sees it. */
export type Decision =
  | {
      readonly kind: 'grant'
      readonly credential: PacketCredential
      readonly knock: VerifiedKnock
      readonly skewSeconds: number
    }
  | {
      readonly kind: 'refuse'
      readonly reason: Refusal
      readonly credential?: PacketCredential
      /** Set when the packet was made with the credential's secret. */
      readonly knock?: VerifiedKnock
      /** How far the client's clock is ahead of ours; set with `knock`. */
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

/** One format of one credential; all formats of a credential share its memory and its limiter. */
interface Candidate {
  readonly credential: PacketCredential
  readonly format: KnockFormat
  readonly secret: unknown
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
  /** By length of payload, and then by its first word. */
  readonly #candidates = new Map<number, Map<number, Candidate[]>>()
  readonly #clock: Clock

  constructor(
    credentials: readonly PacketCredential[],
    memoryOf: MemoryOf,
    clock: Clock,
    formats: KnockFormats = knockFormats,
  ) {
    this.#clock = clock
    for (const { payloadLength } of formats.all) this.#candidates.set(payloadLength, new Map())
    for (const credential of credentials) {
      const limiter = credential.rate ? new RateLimiter(credential.rate) : null
      const [memory, allowed] = [memoryOf(credential), prefixList(credential.onBehalfOf)]
      for (const format of formats.of(credential.type)) {
        const secret = format.secretOf(credential.secret)
        // A plain literal: what is spread from another object makes each packet a tenth slower.
        this.#add({ credential, format, secret, allowed, memory, limiter })
      }
    }
  }

  #add(candidate: Candidate): void {
    const { format, secret } = candidate
    const word = format.firstWord(secret, 0)
    const byWord = this.#candidates.get(format.payloadLength)
    byWord?.set(word, [...(byWord.get(word) ?? []), candidate])
  }

  /** Judges one packet. A granted one is used up from now on, whatever becomes of the answer. */
  verify(packet: Packet): Decision {
    if (packet.version === 0 || packet.protocol !== protocolUdp) return malformed
    const { buffer, payloadAt, destinationPort } = packet
    const byWord = this.#candidates.get(packet.payloadLength)
    if (!byWord) return malformed
    const candidates = byWord.get(buffer.readUInt32BE(payloadAt))
    if (!candidates) return unknownTag
    let outcome = wrongPort
    for (const candidate of candidates) {
      const { port } = candidate.credential
      if (port !== null && port !== destinationPort) continue
      const knock = candidate.format.verify(buffer, payloadAt, destinationPort, candidate.secret)
      if (knock) return this.#decideVerified(packet, candidate, knock)
      outcome = badHash
    }
    return outcome
  }

  #decideVerified(packet: Packet, candidate: Candidate, knock: VerifiedKnock): Decision {
    const { credential } = candidate
    const now = Math.floor(this.#clock.now())
    const skewSeconds = knock.time - now
    const reason = this.#refusalOf(packet, candidate, knock, now)
    return reason === undefined
      ? { kind: 'grant', credential, knock, skewSeconds }
      : { kind: 'refuse', reason, credential, knock, skewSeconds }
  }

  /** Why a verified knock is refused; undefined where it is granted, and remembered. */
  #refusalOf(packet: Packet, candidate: Candidate, knock: VerifiedKnock, now: number): Refusal | undefined {
    const { credential, memory, limiter, allowed } = candidate
    const { time, digestAt, requested } = knock
    const { buffer } = packet
    if (credential.skew >= 0 && Math.abs(time - now) > credential.skew) return 'skewed'
    const answer = memory.judge(buffer, digestAt, time, now)
    if (answer !== 'new') return answer === 'full' ? 'memory-full' : answer
    memory.remember(buffer, digestAt, time)
    const version = packet.version === 6 ? 6 : 4
    if (limiter?.take(version, buffer, packet.sourceAt, this.#clock.monotonic()) === false) return 'rate-limited'
    if (requested === undefined) return credential.linkLocal || !isLinkLocal(packet) ? undefined : 'link-local'
    return requested && allowed && isIn(allowed, requested) ? undefined : 'address-not-allowed'
  }
}

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
