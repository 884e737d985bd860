/**
 * Verifies the packets that left the kernel. The checks come in an order in which a sender without a key can change
 * nothing: shape, first word, the format's own check, time, replay, rate limit. The replay cache is read and changed only
 * after the format's check.
 *
 * Runs on the packet path, so the common ways through it make no objects but the decision.
 */
import { knockFormats } from '../config/credentials/credential-types.js'
import type { KnockFormat, KnockFormats, VerifiedKnock } from '../knock/index.js'
import { protocolUdp } from '../net/index.js'
import type { Packet } from '../queue/index.js'
import type { Clock } from './clock.js'
import type { Decision, Refusal } from './decision.js'
import { isLinkLocal } from './link-local.js'
import type { PacketCredential } from './packet-credential.js'
import type { Prefixes } from './prefix-list.js'
import { isIn, prefixList } from './prefix-list.js'
import { RateLimiter } from './rate-limiter.js'
import type { ReplayCache } from './replay-cache.js'

/** Gives a credential its replay cache, the same one after a reload. */
type CacheOf = (credential: PacketCredential) => ReplayCache

/** One format of one credential; all formats of a credential share its replay cache and its rate limiter. */
interface Candidate {
  readonly credential: PacketCredential
  readonly format: KnockFormat
  readonly secret: unknown
  /** Which addresses may be asked for; null when none may. */
  readonly allowed: Prefixes | null
  readonly cache: ReplayCache
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
    cacheOf: CacheOf,
    clock: Clock,
    formats: KnockFormats = knockFormats,
  ) {
    this.#clock = clock
    for (const { payloadLength } of formats.all) this.#candidates.set(payloadLength, new Map())
    for (const credential of credentials) {
      const limiter = credential.rate ? new RateLimiter(credential.rate) : null
      const [cache, allowed] = [cacheOf(credential), prefixList(credential.onBehalfOf)]
      for (const format of formats.of(credential.type)) {
        const secret = format.secretOf(credential.secret)
        // A plain literal: what is spread from another object makes each packet a tenth slower.
        this.#add({ credential, format, secret, allowed, cache, limiter })
      }
    }
  }

  #add(candidate: Candidate): void {
    const { format, secret } = candidate
    const word = format.firstWord(secret, 0)
    const byWord = this.#candidates.get(format.payloadLength)
    byWord?.set(word, [...(byWord.get(word) ?? []), candidate])
  }

  /** Verifies one packet. A granted one is used up from now on, whatever becomes of the answer. */
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
    const { credential, cache, limiter, allowed } = candidate
    const { time, digestAt, requested } = knock
    const { buffer } = packet
    if (credential.skew >= 0 && Math.abs(time - now) > credential.skew) return 'skewed'
    const answer = cache.judge(buffer, digestAt, time, now)
    if (answer !== 'new') return answer === 'full' ? 'memory-full' : answer
    cache.remember(buffer, digestAt, time)
    const version = packet.version === 6 ? 6 : 4
    if (limiter?.take(version, buffer, packet.sourceAt, this.#clock.monotonic()) === false) return 'rate-limited'
    if (requested === undefined) return credential.linkLocal || !isLinkLocal(packet) ? undefined : 'link-local'
    return requested && allowed && isIn(allowed, requested) ? undefined : 'address-not-allowed'
  }
}
