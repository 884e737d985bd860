/**
 * Runs made-up knocks through the code of the packet worker before the first real ones. The JavaScript engine compiles code that
 * has run some hundred times; without this, the first user after a boot waits longer than all others.
 */
import { randomBytes } from 'node:crypto'
import { knockFormats } from '../../config/credentials/credential-types.js'
import type { AskedPort } from '../../knock/index.js'
import { shapeOfSigned, synRule } from '../../knock/index.js'
import { protocolTcp } from '../../net/index.js'
import { Marks, RecentGrants, steadySeconds } from '../../nft/index.js'
import { answerMadeUp, sourceText } from '../../queue/index.js'
import type { GrantedPorts } from '../verify/requested-part.js'
import type { Clock } from '../clock.js'
import { Counters } from '../report/answer-counters.js'
import { KnockTally } from '../report/knock-tally.js'
import type { PacketCredential } from '../verify/packet-credential.js'
import { PacketHandler } from './packet-handler.js'
import { ReplayCache } from '../replay/replay-cache.js'
import type { PacketSequence } from '../verify/sequence-verifier.js'
import { SequenceVerifier } from '../verify/sequence-verifier.js'
import type { SignedOutcome } from '../verify/signature-job.js'
import { KnockVerifier } from '../verify/verifier.js'

/** Knocks of each format, which take some ten milliseconds in all. */
const rounds = 400
const port = 1

const sequence: PacketSequence = {
  ...{ name: '', timeoutSeconds: 10, flags: synRule, targets: [], rate: null, action: 1, revokes: false },
  steps: [1, 2, 3].map(step => ({ port: step, protocol: protocolTcp })),
  ...{ triggers: false, linkLocal: false },
}

export class WarmUp {
  /** Types of credentials, and the kinds of sequences as one. */
  readonly #warm = new Set<string>()

  constructor(
    readonly mask: number,
    readonly clock: Clock,
  ) {}

  /**
   * Knocks as for each type that is here for the first time. Everything that the knocks could change is a copy that is thrown
   * away: replay cache, counters, grants. The kernel never sees them. Returns how the knocks were answered.
   */
  run(credentials: readonly PacketCredential[], sequences: readonly unknown[]): Counters {
    const cold = credentials.filter(({ type }) => !this.#warm.has(type))
    const oneOfEachType = new Map(cold.map(one => [one.type, { ...one, port: null, rate: null }]))
    const marks = new Marks(this.mask)
    const counters = new Counters()
    const handler = this.#handler([...oneOfEachType.values()], marks, counters)
    for (const credential of oneOfEachType.values()) {
      this.#warm.add(credential.type)
      const isSigned = knockFormats.signedOf(credential.type) !== undefined
      if (isSigned) this.#knockSigned(credential, marks.candidate, handler)
      else this.#knock(credential, marks.candidate, handler)
    }
    if (sequences.length > 0 && !this.#warm.has('steps')) {
      this.#warm.add('steps')
      for (let i = 0; i < rounds; i++)
        for (const { port } of sequence.steps) answerMadeUp(Buffer.alloc(0), port, marks.step, handler, protocolTcp)
    }
    return counters
  }

  #handler(credentials: readonly PacketCredential[], marks: Marks, counters: Counters): PacketHandler {
    const { clock } = this
    const ignore = () => undefined
    return new PacketHandler(
      new KnockVerifier(credentials, ({ skew }) => new ReplayCache({ skew, entries: 1e6 }), clock),
      new SequenceVerifier([sequence], clock, ignore),
      {
        marks,
        journal: { append: ignore, commit: ignore },
        counters,
        tally: new KnockTally(),
        clock,
        recent: new RecentGrants(),
        steadySeconds,
        queueLength: 1,
        addressText: sourceText,
        onEvents: ignore,
        onEffects: ignore,
        onTrouble: ignore,
      },
    )
  }

  #knock(credential: PacketCredential, mark: number, handler: PacketHandler): void {
    for (const format of knockFormats.of(credential.type)) {
      const secret = format.secretOf(credential.secret)
      const address = format.carriesAddress ? { address: Buffer.from([192, 0, 2, 1]) } : {}
      const asks = { asks: { ports: credential.grants.map(portOf) } }
      for (let i = 0; i < rounds; i++) {
        const time = Math.floor(this.clock.now())
        const payload = format.encode({ port, time, random: randomBytes, ...address, ...asks }, secret)
        answerMadeUp(payload, port, mark, handler)
      }
    }
  }

  /** What the other thread would say of them is made up as well; see warm-up-signatures.ts for that thread. */
  #knockSigned({ name: credential, type, secret }: PacketCredential, mark: number, handler: PacketHandler): void {
    const { identity } = knockFormats.signedOf(type)?.secretOf(secret as { identity: Buffer }) ?? {}
    if (!identity) return
    let outcome: SignedOutcome | undefined
    handler.verifySignature = ({ id }) => {
      const request = { time: this.clock.now() * 1000, close: false, services: [] }
      const none = { window: null, prefix: null, other: null, host: null }
      const rights = { opens: null, window: null, prefix4: null, prefix6: null, onBehalfOf: [], asksOutside: false }
      outcome = {
        kind: 'verified',
        id,
        credential,
        signer: { fingerprint: '' },
        rights,
        request: { ...request, ...none },
      }
    }
    for (let i = 0; i < rounds; i++) {
      const payload = shapeOfSigned(identity, this.clock.now(), port, randomBytes)
      answerMadeUp(payload, port, mark, handler)
      if (outcome) handler.onVerified([outcome])
      handler.onAnswered()
    }
  }
}

/** A port of the service, for formats whose packets ask for ports. */
const portOf = ({ protocol, ports: [range] }: GrantedPorts): AskedPort => ({
  protocol: protocol === 'udp' ? 'udp' : 'tcp',
  port: range?.first ?? 1,
})
