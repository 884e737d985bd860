/**
 * Who may in: judges the packets that left the kernel. The checks come in an order in which a stranger can change
 * nothing: shape, tag, hash, time, replay, rate limit; memory is touched only behind the hash.
 *
 * Runs on the packet path, so the common ways through it make no objects but the decision.
 */
import { digestOffset, payloadLength, readTime, verifyPkd } from '../knock/pkd.js'
import type { PkdKey } from '../knock/pkd.js'
import type { Packet } from '../queue/packet.js'
import { Limiter } from './limiter.js'
import type { Rate } from './limiter.js'
import type { ReplayMemory } from './replay.js'

/** A credential, as far as the packet path needs it. */
export interface GateCredential {
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
  | { readonly kind: 'grant'; readonly credential: GateCredential; readonly time: number; readonly skewSeconds: number }
  | {
      readonly kind: 'refuse'
      readonly reason: Refusal
      readonly credential?: GateCredential
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
export type MemoryOf = (credential: GateCredential) => ReplayMemory

interface Lock {
  readonly credential: GateCredential
  readonly memory: ReplayMemory
  readonly limiter: Limiter | null
}

const refuse = (reason: Refusal): Decision => ({ kind: 'refuse', reason })
const malformed = refuse('malformed')
const unknownTag = refuse('unknown-tag')
const wrongPort = refuse('wrong-port')
const badHash = refuse('bad-hash')

const protocolUdp = 17

export class Gatekeeper {
  readonly #locks = new Map<number, Lock[]>()
  readonly #clock: Clock

  constructor(credentials: readonly GateCredential[], memoryOf: MemoryOf, clock: Clock) {
    this.#clock = clock
    for (const credential of credentials) {
      const word = credential.tag.readUInt32BE(0)
      const limiter = credential.rate ? new Limiter(credential.rate) : null
      const lock = { credential, memory: memoryOf(credential), limiter }
      this.#locks.set(word, [...(this.#locks.get(word) ?? []), lock])
    }
  }

  /** Judges one packet. A granted one is used up from now on, whatever becomes of the answer. */
  decide(packet: Packet): Decision {
    if (packet.version === 0 || packet.protocol !== protocolUdp || packet.payloadLength !== payloadLength)
      return malformed
    const { buffer, payloadAt, destinationPort } = packet
    const locks = this.#locks.get(buffer.readUInt32BE(payloadAt))
    if (!locks) return unknownTag
    let outcome = wrongPort
    for (const lock of locks) {
      const { credential } = lock
      if (credential.port !== null && credential.port !== destinationPort) continue
      if (verifyPkd(buffer, payloadAt, destinationPort, credential.key)) return this.#decideVerified(packet, lock)
      outcome = badHash
    }
    return outcome
  }

  #decideVerified(packet: Packet, { credential, memory, limiter }: Lock): Decision {
    const { buffer, payloadAt } = packet
    const now = this.#clock.now()
    const time = readTime(buffer, payloadAt)
    const skewSeconds = time - Math.floor(now)
    const refused = (reason: Refusal): Decision => ({ kind: 'refuse', reason, credential, time, skewSeconds })
    if (credential.skew >= 0 && Math.abs(skewSeconds) > credential.skew) return refused('skewed')
    const digestAt = digestOffset(payloadAt)
    const answer = memory.judge(buffer, digestAt, time, Math.floor(now))
    if (answer === 'full') return refused('memory-full')
    if (answer !== 'new') return refused(answer)
    memory.remember(buffer, digestAt, time)
    const withinRate =
      limiter?.take(packet.version === 6 ? 6 : 4, buffer, packet.sourceAt, this.#clock.monotonic()) ?? true
    return withinRate ? { kind: 'grant', credential, time, skewSeconds } : refused('rate-limited')
  }
}
