/**
 * The story of one packet that left the kernel: a knock is verified, noted on disk, and answered with the mark by which
 * the kernel grants or refuses; a connection that waited behind a knock is let go on to the gate. A knock with a signature
 * is held until another thread has verified that, with the connections behind it, while others are answered.
 */
import type { VerifiedKnock } from '../knock/index.js'
import type { Marks, RecentGrants } from '../nft/index.js'
import type { Batch, HeldAnswer, Packet } from '../queue/index.js'
import { answeredLater } from '../queue/index.js'
import type { Clock } from './clock.js'
import { ClockWatch } from './clock-watch.js'
import type { Counters } from './counters.js'
import type { Decision, Refusal } from './decision.js'
import { refusedUsedUp } from './decision.js'
import { EventCollector } from './event-collector.js'
import { EventLimiter } from './event-limiter.js'
import type { HeldKnock } from './held-packets.js'
import { HeldPackets } from './held-packets.js'
import type { Effect, KnockEvent, Suppressed } from './knock-events.js'
import type { KnockTally } from './knock-tally.js'
import type { PacketCredential } from './packet-credential.js'
import type { ReplayJournal } from './replay-journal.js'
import type { SequenceVerifier } from './sequence-verifier.js'
import type { SignedJob, SignedOutcome } from './signature-job.js'
import type { KnockVerifier } from './verifier.js'

interface PacketHandlerParts {
  readonly marks: Marks
  readonly journal: Pick<ReplayJournal, 'append' | 'commit'>
  readonly counters: Counters
  readonly tally: KnockTally
  readonly clock: Clock
  /** Where answers that grant or revoke are noted, with seconds of a clock that all threads share. */
  readonly recent: RecentGrants
  readonly steadySeconds: () => number
  /** How many packets the queue has room for. */
  readonly queueLength: number
  readonly addressText: (packet: Packet) => string
  readonly onEvents: (events: readonly KnockEvent[], suppressed: Suppressed) => void
  readonly onEffects: (effects: readonly Effect[]) => void
  readonly onTrouble: (level: 'error' | 'warn', message: string) => void
}

type Granting = Extract<Decision, { kind: 'grant' }>

/** Valid knocks a second that are followed by more than a mark: a command, or a grant on behalf of another. */
const effectsPerSecond = 200

/** How often it is looked for packets that are held for too long, in milliseconds. */
const tickMilliseconds = 250

export class PacketHandler {
  verifier: KnockVerifier
  steps: SequenceVerifier
  /** Has a signature verified by the other thread; null while that does not run. */
  verifySignature: ((job: SignedJob) => void) | null = null
  readonly #held: HeldPackets
  readonly #parts: PacketHandlerParts
  readonly #events: EventCollector
  readonly #clockWatch: ClockWatch
  readonly #trouble = new EventLimiter(1)
  readonly #followed = new EventLimiter(effectsPerSecond)
  #effects: Effect[] = []
  /** Those of knocks that must be noted on disk before they count. */
  #promised: Effect[] = []
  #granted: number[] = []
  /** The decisions behind `#granted`. */
  #grantedKnocks: Granting[] = []
  /** Steps that completed a sequence. */
  readonly #completed: number[] = []

  constructor(verifier: KnockVerifier, steps: SequenceVerifier, parts: PacketHandlerParts) {
    this.verifier = verifier
    this.steps = steps
    this.#parts = parts
    this.#held = new HeldPackets(parts.queueLength)
    this.#events = new EventCollector(parts.clock, parts.addressText)
    this.#clockWatch = new ClockWatch(parts.clock)
  }

  /** Decides the answers of a whole batch. When they are out, or those of some more batches, call `onAnswered`. */
  onBatch(batch: Batch): void {
    const eventsBefore = this.#begin()
    this.#warnOfClock()
    for (let i = 0; i < batch.count; i++) batch.answers[i] = this.#answer(batch.packets[i] as Packet, i)
    this.#commit(batch, eventsBefore)
  }

  /** Decides the answers of packets whose signatures were verified, and of what waits behind them. */
  onVerified(outcomes: readonly SignedOutcome[]): HeldAnswer[] {
    const known = outcomes.flatMap(outcome => {
      const knock = this.#held.take(outcome.id)
      return knock ? [{ knock, outcome }] : []
    })
    return this.#settle(
      known.map(({ knock }) => knock),
      (packet, i) => this.verifier.decideSigned(packet, known[i]?.outcome as SignedOutcome),
    )
  }

  /** The answers to packets that are held for too long. */
  lateAnswers(): HeldAnswer[] {
    if (this.#held.size === 0) return []
    return this.#refuse(this.#held.takeLate(this.#parts.clock.monotonic()), 'signatures-late')
  }

  /** The answers to all packets that are held. */
  giveUp(): HeldAnswer[] {
    return this.#refuse(this.#held.takeAll(), 'signatures-down')
  }

  /** In milliseconds, for the queue: -1 where nothing is held. */
  longestWait(): number {
    return this.#held.size > 0 ? tickMilliseconds : -1
  }

  #refuse(knocks: readonly HeldKnock[], reason: Refusal): HeldAnswer[] {
    return this.#settle(knocks, () => ({ kind: 'refuse', reason }))
  }

  #settle(knocks: readonly HeldKnock[], decide: (packet: Packet, i: number) => Decision): HeldAnswer[] {
    if (knocks.length === 0) return []
    const packets = knocks.map(({ packet }) => packet)
    const batch: Batch = { packets, count: packets.length, answers: new Float64Array(packets.length) }
    const eventsBefore = this.#begin()
    for (const [i, packet] of packets.entries()) batch.answers[i] = this.#carryOut(packet, i, decide(packet, i))
    this.#commit(batch, eventsBefore)
    return knocks.flatMap(({ packet: { id }, behind }, i) => [{ id, mark: batch.answers[i] as number }, ...behind])
  }

  /** Of a batch. Returns how many events there were before it. */
  #begin(): number {
    this.#granted.length = 0
    this.#grantedKnocks.length = 0
    this.#completed.length = 0
    return this.#events.count
  }

  /** Notes on disk what a batch grants, or refuses all of it. */
  #commit(batch: Batch, eventsBefore: number): void {
    const { journal, clock, counters, tally } = this.#parts
    try {
      journal.commit(clock.now())
      this.#effects.push(...this.#promised)
    } catch (error) {
      this.#refuseGranted(batch, eventsBefore, error as Error)
    }
    this.#promised = []
    counters.add('accepted', this.#granted.length)
    for (const { credential, clockDifferenceSeconds } of this.#grantedKnocks)
      tally.accept(credential.name, clockDifferenceSeconds)
    if (this.#granted.length + this.#completed.length > 0) this.#remember(batch)
  }

  /** Tells the other thread what was decided. Posting a message takes longer than a knock, so that packets go first. */
  onAnswered(): void {
    this.#events.flush(this.#parts.onEvents)
    if (this.#effects.length > 0) this.#parts.onEffects(this.#effects)
    this.#effects = []
  }

  #answer(packet: Packet, index: number): number {
    const { marks, counters } = this.#parts
    const mine = (packet.mark & marks.mask) >>> 0
    const others = (packet.mark & marks.others) >>> 0
    if (mine === marks.pending) {
      counters.add('pending')
      return this.#held.size > 0 && this.#held.holdBehind(packet, others) ? answeredLater : others
    }
    if (mine === marks.step || mine === marks.strayStep) return this.#step(packet, index, mine === marks.strayStep)
    if (mine !== marks.candidate) {
      // Another program queues to our number. Without our mark it can open nothing; it goes on as it came.
      counters.add('stray')
      return packet.mark
    }
    const decision = this.verifier.verify(packet)
    return decision.kind === 'verify' ? this.#hold(packet, index) : this.#carryOut(packet, index, decision)
  }

  /** Leaves the packet without an answer, and has its signature verified. */
  #hold(packet: Packet, index: number): number {
    const { clock, addressText } = this.#parts
    const { verifySignature } = this
    if (!verifySignature) return this.#carryOut(packet, index, { kind: 'refuse', reason: 'signatures-down' })
    const held = this.#held.hold(packet, clock.monotonic())
    if (typeof held === 'string') return this.#carryOut(packet, index, { kind: 'refuse', reason: held })
    const { buffer, payloadAt, payloadLength, destinationPort } = held.packet
    // Of a part of a buffer, the whole would be posted.
    const bytes = new Uint8Array(buffer.subarray(payloadAt, payloadAt + payloadLength))
    verifySignature({ id: held.id, bytes, port: destinationPort, source: addressText(packet) })
    return answeredLater
  }

  /** The answer to a knock on which this is decided, and what follows it. */
  #carryOut(packet: Packet, index: number, decided: Decision): number {
    const { marks, counters, tally } = this.#parts
    const others = (packet.mark & marks.others) >>> 0
    const decision = this.#bounded(decided)
    this.#events.addDecision(packet, decision)
    if (decision.kind === 'grant') {
      const { credential, knock, part, also, closes } = decision
      this.#note(credential, packet, knock)
      this.#granted.push(index)
      this.#grantedKnocks.push(decision)
      const { requested } = knock
      this.#promiseSigned(decision, packet)
      if (also) this.#promise('on-behalf', decision, also.address)
      if (requested || part || closes) {
        this.#promise(closes ? 'revoke' : 'on-behalf', decision, requested?.address ?? this.#parts.addressText(packet))
        return others + marks.refused
      }
      if (credential.triggers) {
        this.#promised.push(this.#trigger(credential.revokes ? 'closed' : 'opened', credential.name, packet))
      }
      return others + marks.action(credential.action)
    }
    counters.add(decision.reason)
    const { credential, knock } = decision
    tally.refuse(credential?.name ?? '', decision.reason)
    if (refusedUsedUp.has(decision.reason) && credential && knock) this.#note(credential, packet, knock)
    return others + marks.refused
  }

  /** What has to follow knocks is done by another thread, which must not be flooded by those who have a key. */
  #bounded(decision: Decision): Decision {
    if (decision.kind === 'refuse') return decision
    const { credential, knock, clockDifferenceSeconds, part, also, closes } = decision
    if (!credential.triggers && !knock.requested && !part && !also && !closes) return decision
    if (this.#followed.pass(this.#parts.clock.monotonic())) return decision
    return { kind: 'refuse', reason: 'rate-limited', credential, knock, clockDifferenceSeconds }
  }

  /** A knock of a sequence goes on to whoever listens there, whatever it completes. */
  #step(packet: Packet, index: number, stray: boolean): number {
    const { marks, counters, tally, clock } = this.#parts
    const others = (packet.mark & marks.others) >>> 0
    const decision = this.steps.step(packet, stray)
    if (!decision) return others
    const { sequence } = decision
    const isComplete = decision.kind === 'complete'
    const tooMany = isComplete && sequence.triggers && !this.#followed.pass(clock.monotonic())
    if (sequence.once && isComplete) this.#effects.push({ kind: 'spent', credential: sequence.name })
    const reason = !isComplete ? decision.reason : tooMany ? 'rate-limited' : undefined
    const refused = reason !== undefined
    counters.add(reason ?? 'accepted')
    if (reason === undefined) tally.accept(sequence.name)
    else tally.refuse(sequence.name, reason)
    if (!refused) this.#completed.push(index)
    this.#events.addSequence(packet, sequence, reason)
    if (refused) return others
    if (sequence.triggers) {
      this.#effects.push(this.#trigger(sequence.revokes ? 'closed' : 'opened', sequence.name, packet))
    }
    return others + marks.action(sequence.action)
  }

  /** What the kernel cannot do by a mark. */
  #promise(kind: 'on-behalf' | 'revoke', { credential, part }: Granting, address: string): void {
    this.#promised.push({ kind, credential: credential.name, address, ...(part ? { part } : {}) })
  }

  /** Who has signed is noted for each grant, so that a user's grants can be revoked. */
  #promiseSigned({ credential, signer, knock: { requested }, also, part, closes }: Granting, packet: Packet): void {
    if (!signer) return
    const source = this.#parts.addressText(packet)
    const isClosing = closes === true || credential.revokes
    const by = isClosing ? 'close' : requested || part ? 'hand' : 'knock'
    const facts = { kind: 'signed', credential: credential.name, signer, ...(part ? { part } : {}) } as const
    this.#promised.push({ ...facts, by, address: requested?.address ?? source })
    if (also) this.#promised.push({ ...facts, by: 'hand', address: also.address })
  }

  #trigger(kind: 'opened' | 'closed', credential: string, packet: Packet): Effect {
    return { kind, credential, address: this.#parts.addressText(packet) }
  }

  /** Before the verdicts are sent, so that nothing lives longer by this note than by the kernel's. */
  #remember({ packets, answers }: Batch): void {
    const { recent, steadySeconds } = this.#parts
    const time = steadySeconds()
    for (const indexes of [this.#granted, this.#completed]) {
      for (const index of indexes) {
        const { version, buffer, sourceAt } = packets[index] as Packet
        if (version !== 0) recent.note(version, buffer, sourceAt, answers[index] as number, time)
      }
    }
  }

  #note(credential: PacketCredential, packet: Packet, { digestAt, time }: VerifiedKnock): void {
    this.#parts.journal.append(credential, packet.buffer, digestAt, time)
  }

  // What cannot be remembered must not open anything: it could be sent again after a restart.
  #refuseGranted(batch: Batch, eventsBefore: number, error: Error): void {
    const { marks, counters, tally, clock, onTrouble } = this.#parts
    for (const index of this.#granted) {
      const others = ((batch.packets[index] as Packet).mark & marks.others) >>> 0
      batch.answers[index] = others + marks.refused
    }
    counters.add('state-unwritable', this.#granted.length)
    for (const { credential } of this.#grantedKnocks) tally.refuse(credential.name, 'state-unwritable')
    if (this.#granted.length > 0 && this.#trouble.pass(clock.monotonic())) {
      onTrouble('error', `valid knocks are refused, because the state directory cannot be written: ${error.message}`)
    }
    this.#events.refuseSince(eventsBefore, 'state-unwritable')
    this.#granted.length = 0
    this.#grantedKnocks.length = 0
  }

  #warnOfClock(): void {
    const jump = this.#clockWatch.jump()
    if (jump === 0) return
    this.#parts.onTrouble('warn', `the clock was set ${jump > 0 ? 'ahead' : 'back'} by ${Math.abs(jump)} s`)
  }
}
