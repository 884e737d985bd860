/**
 * Verifies the packets that left the kernel. The checks come in an order in which a sender without a key can change
 * nothing: shape, first word, the format's own check, time, replay, rate limit. The replay cache is read and changed only
 * after the format's check. Of knocks that a key of OpenSSH signs, all but the first checks are left to another thread, and
 * the rest is decided when that has answered.
 *
 * Runs in the packet worker for each knock, so the common ways through it make no objects but the decision.
 */
import { knockFormats } from '../../config/credentials/credential-types.js'
import type { KnockFormat, KnockFormats, SignedFormat, SignedSecret, VerifiedKnock, Wishes } from '../../knock/index.js'
import { protocolUdp } from '../../net/index.js'
import type { Packet } from '../../queue/index.js'
import type { Clock } from '../clock.js'
import type { CredentialState } from './decide-knock.js'
import { askedBeside, decideVerified, decideWishes } from './decide-knock.js'
import type { Decision, FirstDecision, GrantDecision, Refusal } from './decision.js'
import { HintTable } from './hint-table.js'
import { hasLinkLocalSource } from './link-local-source.js'
import type { PacketCredential } from './packet-credential.js'
import { prefixList } from './prefix-list.js'
import { RateLimiter } from './rate-limiter.js'
import type { ReplayCache } from '../replay/replay-cache.js'
import type { AddedRights, SignedOutcome } from './signature-job.js'
import { wishedPart, wishRefusal } from './signed-wishes.js'

/** Gives a credential its replay cache, the same one after a reload. */
type CacheOf = (credential: PacketCredential) => ReplayCache

/** One format of one credential; all formats of a credential share its replay cache and its rate limiter. */
interface CredentialFormat extends CredentialState {
  readonly format: KnockFormat
  readonly secret: unknown
}

/** A credential whose knocks are signed. */
interface CredentialSigned extends CredentialState {
  readonly format: SignedFormat
  readonly secret: SignedSecret
}

/** The packet is to be verified by another thread, whose outcome `decideSigned` takes. */
const toVerify: FirstDecision = { kind: 'verify' }

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
  /** Those whose knocks are signed, by name. */
  readonly #signed = new Map<string, CredentialSigned>()
  /** Lengths of payload of packets that have no first word of their own. */
  readonly #wordless = new Set<number>()
  readonly #signedLengths = new Set<number>()
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
    for (const length of this.#rotating.keys()) this.#wordless.add(length)
    this.#addSigned(credentials, cacheOf, formats)
    for (const credential of credentials) {
      if (formats.signedOf(credential.type)) continue
      const limiter = credential.rate ? new RateLimiter(credential.rate) : null
      const [cache, allowed] = [cacheOf(credential), prefixList(credential.onBehalfOf)]
      for (const format of formats.of(credential.type)) {
        const secret = format.secretOf(credential.secret)
        // A plain literal: what is spread from another object makes each packet a tenth slower.
        this.#add({ credential, format, secret, allowed, cache, limiter })
      }
    }
  }

  #addSigned(credentials: readonly PacketCredential[], cacheOf: CacheOf, formats: KnockFormats): void {
    const signed = credentials.filter(({ type }) => formats.signedOf(type))
    // They share a replay cache, which remembers for as long as any of them accepts.
    const skews = signed.map(({ skew }) => skew)
    const skew = skews.includes(-1) ? -1 : Math.max(...skews)
    for (const credential of signed) {
      const format = formats.signedOf(credential.type) as SignedFormat
      const secret = format.secretOf(credential.secret as SignedSecret)
      const limiter = credential.rate ? new RateLimiter(credential.rate) : null
      const [cache, allowed] = [cacheOf({ ...credential, skew }), prefixList(credential.onBehalfOf)]
      this.#signed.set(credential.name, { credential, format, secret, allowed, cache, limiter })
      for (const length of format.lengths) {
        this.#signedLengths.add(length)
        this.#wordless.add(length)
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

  /** Makes some of what changes with time before that is needed; true while there is more to do. */
  prepare(): boolean {
    let isMore = false
    for (const table of this.#rotating.values()) isMore = table.prepare() || isMore
    return isMore
  }

  /** Verifies one packet. A granted one is used up from now on, whatever becomes of the answer. */
  verify(packet: Packet): FirstDecision {
    if (packet.version === 0 || packet.protocol !== protocolUdp) return malformed
    const { buffer, payloadAt, payloadLength } = packet
    const byWord = this.#byLength.get(payloadLength)
    const byByte = this.#varied.get(payloadLength)
    if (!byWord && !byByte) return this.#verifyWordless(packet)
    const formats = byWord?.get(buffer.readUInt32BE(payloadAt)) ?? byByte?.get(buffer[payloadAt] as number)
    // A format of many lengths may have packets as long as those without a first word.
    if (this.#wordless.has(payloadLength)) return this.#verifyEither(packet, formats)
    if (!formats) return unknownTag
    return this.#tryEach(packet, formats, wrongPort)
  }

  #verifyEither(packet: Packet, formats: readonly CredentialFormat[] | undefined): FirstDecision {
    const wordless = this.#verifyWordless(packet)
    const isVerified = wordless.kind !== 'refuse' || wordless.knock !== undefined
    return isVerified || !formats ? wordless : this.#tryEach(packet, formats, wrongPort)
  }

  #verifyWordless(packet: Packet): FirstDecision {
    return this.#signedLengths.has(packet.payloadLength) ? this.#checkSigned(packet) : this.#verifyRotating(packet)
  }

  /** The first checks of a signed knock: it was made for this server and port, by a sender who knows the identity. */
  #checkSigned({ buffer, payloadAt, payloadLength, destinationPort }: Packet): FirstDecision {
    let outcome = badHash
    let checked: SignedSecret | undefined
    for (const { credential, format, secret } of this.#signed.values()) {
      // Mostly all of them have the identity of the server.
      if (!checked?.identity.equals(secret.identity)) {
        if (!format.isFor(buffer, payloadAt, payloadLength, secret)) continue
        checked = secret
      }
      if (credential.port === null || credential.port === destinationPort) return toVerify
      outcome = wrongPort
    }
    return outcome
  }

  /** Decides on a packet that another thread has verified. As for `verify`, a granted one is used up. */
  decideSigned(packet: Packet, outcome: SignedOutcome): Decision {
    const { signer } = outcome
    const tried = this.#signed.get(outcome.credential ?? '')
    const by = signer ? { signer } : {}
    if (outcome.kind === 'refused') {
      const { reason, clockDifferenceSeconds } = outcome
      const clock = clockDifferenceSeconds === undefined ? {} : { clockDifferenceSeconds }
      return { kind: 'refuse', reason, ...by, ...clock, ...(tried ? { credential: tried.credential } : {}) }
    }
    // Its credential has just been removed.
    if (!tried) return { kind: 'refuse', reason: 'unknown-key', ...by }
    const { credential, format } = tried
    const { request, rights } = outcome
    const now = Math.floor(this.#clock.now())
    const knock: VerifiedKnock = {
      time: Math.floor(request.time / 1000),
      digestAt: packet.payloadAt + format.digestAt,
      ...(request.host ? { requested: request.host } : {}),
    }
    const facts = { credential, knock, clockDifferenceSeconds: knock.time - now, ...by }
    const decision = decideWishes(packet, tried, { facts, knock, now }, request, rights, this.#clock)
    if (decision.kind === 'refuse' || !outcome.more) return decision
    // Several lines of a credential are one knock for its rate.
    const counted = new Map([[credential.name, true]])
    const more = outcome.more.flatMap(one => this.#addedBy(one, decision, request, packet, counted))
    return more.length > 0 ? { ...decision, more } : decision
  }

  /** What another credential adds to a knock that is granted; nothing where it refuses what is asked for. */
  #addedBy(
    { credential: name, signer, rights, services }: AddedRights,
    { knock, clockDifferenceSeconds }: GrantDecision,
    request: Wishes,
    packet: Packet,
    counted: Map<string, boolean>,
  ): GrantDecision[] {
    const tried = this.#signed.get(name)
    const version = packet.version === 6 ? 6 : 4
    if (!tried || wishRefusal(tried.allowed, rights, request, version) !== undefined) return []
    const { credential, limiter } = tried
    const inTime =
      counted.get(name) ?? limiter?.take(version, packet.buffer, packet.sourceAt, this.#clock.monotonic()) ?? true
    counted.set(name, inTime)
    if (!inTime || (!request.host && !credential.linkLocal && hasLinkLocalSource(packet))) return []
    // Its mark would stand for all that it grants.
    const part = wishedPart(credential, rights, { ...request, services }) ?? { services, seconds: null }
    return [
      {
        ...{ kind: 'grant', credential, knock, clockDifferenceSeconds, signer, part },
        ...askedBeside(credential, request),
      },
    ]
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
      if (knock) return decideVerified(packet, tried, knock, this.#clock)
      outcome = badHash
    }
    return outcome
  }
}
