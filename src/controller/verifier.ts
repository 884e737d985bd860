/**
 * Verifies the packets that left the kernel. The checks come in an order in which a sender without a key can change
 * nothing: shape, first word, the format's own check, time, replay, rate limit. The replay cache is read and changed only
 * after the format's check.
 *
 * Runs in the packet worker for each knock, so the common ways through it make no objects but the decision.
 */
import { knockFormats } from '../config/credentials/credential-types.js'
import type { KnockFormat, KnockFormats, Requested, VerifiedKnock } from '../knock/index.js'
import { addressFromBytes, protocolUdp } from '../net/index.js'
import type { Packet } from '../queue/index.js'
import { askedPart } from './asked-part.js'
import type { Clock } from './clock.js'
import type { Decision, Refusal } from './decision.js'
import { HintTable } from './hint-table.js'
import { isLinkLocal } from './link-local.js'
import type { PacketCredential } from './packet-credential.js'
import type { Prefixes } from './prefix-list.js'
import { isIn, prefixList } from './prefix-list.js'
import { RateLimiter } from './rate-limiter.js'
import type { ReplayCache } from './replay-cache.js'

/** Gives a credential its replay cache, the same one after a reload. */
type CacheOf = (credential: PacketCredential) => ReplayCache

/** One format of one credential; all formats of a credential share its replay cache and its rate limiter. */
interface CredentialFormat {
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
  readonly #byLength = new Map<number, Map<number, CredentialFormat[]>>()
  /** By length of payload, and then by its first byte. */
  readonly #varied = new Map<number, Map<number, CredentialFormat[]>>()
  /** Those whose first words change with time, by length of payload. */
  readonly #rotating = new Map<number, HintTable<CredentialFormat>>()
  readonly #clock: Clock

  constructor(
    credentials: readonly PacketCredential[],
    cacheOf: CacheOf,
    clock: Clock,
    formats: KnockFormats = knockFormats,
  ) {
    this.#clock = clock
    for (const format of formats.all) {
      const { payloadLength, rotation, varied } = format
      if (rotation) this.#rotating.set(payloadLength, new HintTable(format, rotation))
      else if (!varied) this.#byLength.set(payloadLength, new Map())
    }
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

  #add(tried: CredentialFormat): void {
    const { format, secret } = tried
    if (format.varied) {
      const { firstBytes } = format.varied
      for (const length of format.varied.lengths(secret)) {
        const byByte = this.#varied.get(length) ?? new Map<number, CredentialFormat[]>()
        this.#varied.set(length, byByte)
        for (const byte of firstBytes) byByte.set(byte, [...(byByte.get(byte) ?? []), tried])
      }
      return
    }
    const table = format.rotation && this.#rotating.get(format.payloadLength)
    if (table) {
      table.add(tried)
      return
    }
    const word = format.firstWord(secret, 0)
    const byWord = this.#byLength.get(format.payloadLength)
    byWord?.set(word, [...(byWord.get(word) ?? []), tried])
  }

  /** Verifies one packet. A granted one is used up from now on, whatever becomes of the answer. */
  verify(packet: Packet): Decision {
    if (packet.version === 0 || packet.protocol !== protocolUdp) return malformed
    const { buffer, payloadAt, payloadLength } = packet
    const byWord = this.#byLength.get(payloadLength)
    const byByte = this.#varied.get(payloadLength)
    if (!byWord && !byByte) return this.#verifyRotating(packet)
    const formats = byWord?.get(buffer.readUInt32BE(payloadAt)) ?? byByte?.get(buffer[payloadAt] as number)
    // A format of many lengths may have packets as long as those of a rotating one.
    if (this.#rotating.has(payloadLength)) return this.#verifyEither(packet, formats)
    if (!formats) return unknownTag
    return this.#tryEach(packet, formats, wrongPort)
  }

  #verifyEither(packet: Packet, formats: readonly CredentialFormat[] | undefined): Decision {
    const rotating = this.#verifyRotating(packet)
    const isVerified = rotating.kind === 'grant' || rotating.knock !== undefined
    return isVerified || !formats ? rotating : this.#tryEach(packet, formats, wrongPort)
  }

  #verifyRotating(packet: Packet): Decision {
    const table = this.#rotating.get(packet.payloadLength)
    if (!table) return malformed
    const formats = table.find(packet.buffer, packet.payloadAt, Math.floor(this.#clock.now()))
    if (!formats) return unknownTag
    return this.#tryEach(packet, formats, formats.length > 0 ? wrongPort : badHash)
  }

  #tryEach(packet: Packet, formats: readonly CredentialFormat[], otherwise: Decision): Decision {
    const { buffer, payloadAt, destinationPort, payloadLength } = packet
    let outcome = otherwise
    for (const tried of formats) {
      const { port } = tried.credential
      if (port !== null && port !== destinationPort) continue
      const knock = tried.format.verify(buffer, payloadAt, destinationPort, tried.secret, payloadLength)
      if (knock) return this.#decideVerified(packet, tried, knock)
      outcome = badHash
    }
    return outcome
  }

  #decideVerified(packet: Packet, tried: CredentialFormat, verified: VerifiedKnock): Decision {
    const { credential } = tried
    const knock = verified.sender ? withRequest(packet, verified, verified.sender) : verified
    const now = Math.floor(this.#clock.now())
    const clockDifferenceSeconds = knock.time - now
    const reason = this.#refusalOf(packet, tried, knock, now)
    if (reason !== undefined) return { kind: 'refuse', reason, credential, knock, clockDifferenceSeconds }
    if (knock.asks === undefined) return { kind: 'grant', credential, knock, clockDifferenceSeconds }
    const part = askedPart(credential, knock.asks)
    if (part === undefined)
      return { kind: 'refuse', reason: 'port-not-allowed', credential, knock, clockDifferenceSeconds }
    return { kind: 'grant', credential, knock, clockDifferenceSeconds, ...(part === 'all' ? {} : { part }) }
  }

  /** Why a verified knock is refused; undefined where it is granted, and remembered. */
  #refusalOf(packet: Packet, tried: CredentialFormat, knock: VerifiedKnock, now: number): Refusal | undefined {
    const { credential, cache, limiter, allowed } = tried
    const { time, digestAt, requested } = knock
    const { buffer } = packet
    if (credential.skew >= 0 && Math.abs(time - now) > credential.skew) return 'skewed'
    const answer = cache.check(buffer, digestAt, time, now)
    if (answer !== 'new') return answer === 'full' ? 'memory-full' : answer
    cache.remember(buffer, digestAt, time)
    const version = packet.version === 6 ? 6 : 4
    if (limiter?.take(version, buffer, packet.sourceAt, this.#clock.monotonic()) === false) return 'rate-limited'
    if (knock.refused !== undefined) return knock.refused
    if (knock.until !== undefined && now >= knock.until) return 'expired'
    if (requested === undefined) return credential.linkLocal || !isLinkLocal(packet) ? undefined : 'link-local'
    return requested && allowed && isIn(allowed, requested) ? undefined : 'address-not-allowed'
  }
}

/** A packet that comes from its sender's address asks for no other one. */
function withRequest({ version, buffer, sourceAt }: Packet, knock: VerifiedKnock, sender: Requested): VerifiedKnock {
  const isSource = version === sender.version && addressFromBytes(buffer, sourceAt, version) === sender.address
  return isSource ? knock : { ...knock, requested: sender }
}
