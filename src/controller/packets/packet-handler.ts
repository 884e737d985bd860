/**
 * The story of one packet that left the kernel: a knock is verified, noted on disk, and answered with the mark by which
 * the kernel grants or refuses; a connection that waited behind a knock is let go on to the gate. A knock with a signature
 * is held until another thread has verified that, with the connections behind it, while others are answered. So is a knock
 * that counts on one server of the fleet alone: it is noted on disk, then claimed, then granted.
 */
import type { Batch, HeldAnswer, Packet } from '../../queue/index.js'
import { answeredLater } from '../../queue/index.js'
import type { BatchGrantsParts } from '../grants/batch-grants.js'
import { BatchGrants } from '../grants/batch-grants.js'
import { ClockWatch } from '../clock-watch.js'
import type { Decision, GrantDecision, Refusal } from '../verify/decision.js'
import { refusedUsedUp } from '../verify/decision.js'
import { EventCollector } from '../report/event-collector.js'
import { EventLimiter } from '../report/event-limiter.js'
import type { HeldKnock } from './held-packets.js'
import { HeldPackets } from './held-packets.js'
import type { ClaimOutcome, KnockClaim } from './knock-claim.js'
import { effectsOf, effectsOfSequence, isAwaited, isByMark, isFollowed } from './knock-effects.js'
import type { Effect, KnockEvent, Suppressed } from '../report/knock-events.js'
import type { OwnDatagrams } from '../self-test/own-datagrams.js'
import type { SequenceVerifier } from '../verify/sequence-verifier.js'
import type { SignedJob, SignedOutcome } from '../verify/signature-job.js'
import type { KnockVerifier } from '../verify/verifier.js'

interface PacketHandlerParts extends BatchGrantsParts {
  /** How many packets the queue has room for. */
  readonly queueLength: number
  readonly addressText: (packet: Packet) => string
  /** What the daemon sends to itself. */
  readonly own?: Pick<OwnDatagrams, 'takes' | 'tell'>
  readonly onEvents: (events: readonly KnockEvent[], suppressed: Suppressed) => void
  readonly onEffects: (effects: readonly Effect[]) => void
}

/** Valid knocks a second that are followed by more than a mark: a command, or a grant on behalf of another. */
const effectsPerSecond = 200

/** The pause between parts of what is prepared for a period of time: all of them take a small part of it. */
const preparingMilliseconds = 10

/** Of a knock, in bytes. */
const digestLength = 16

/** How often it is looked for packets that are held for too long, in milliseconds. */
const tickMilliseconds = 250

export class PacketHandler {
  verifier: KnockVerifier
  steps: SequenceVerifier
  /** Has a signature verified by the other thread; null while that does not run. */
  verifySignature: ((job: SignedJob) => void) | null = null
  /** Has knocks claimed for this server; null where nothing can. */
  claimKnocks: ((claims: readonly KnockClaim[]) => void) | null = null
  /** To be claimed when they are on disk. */
  #toClaim: HeldKnock[] = []
  readonly #held: HeldPackets
  readonly #parts: PacketHandlerParts
  readonly #events: EventCollector
  readonly #clockWatch: ClockWatch
  readonly #followed = new EventLimiter(effectsPerSecond)
  readonly #grants: BatchGrants
  #isPreparing = false
  /** Seconds by which the clock was set, until that is told. */
  #clockJump = 0

  constructor(verifier: KnockVerifier, steps: SequenceVerifier, parts: PacketHandlerParts) {
    this.verifier = verifier
    this.steps = steps
    this.#parts = parts
    this.#held = new HeldPackets(parts.queueLength)
    this.#events = new EventCollector(parts.clock, parts.addressText)
    this.#grants = new BatchGrants(parts, this.#events, awaited => {
      this.#held.forgo(awaited)
    })
    this.#clockWatch = new ClockWatch(parts.clock)
  }

  /** Decides the answers of a whole batch. When they are out, or those of some more batches, call `onAnswered`. */
  onBatch(batch: Batch): void {
    this.#grants.begin()
    this.#clockJump += this.#clockWatch.jump()
    for (let i = 0; i < batch.count; i++) batch.answers[i] = this.#answer(batch.packets[i] as Packet, i)
    this.#commit(batch)
  }

  /** Decides the answers of packets whose signatures were verified, and of what waits behind them. */
  onVerified(outcomes: readonly SignedOutcome[]): HeldAnswer[] {
    const known = outcomes.flatMap(outcome => {
      const knock = this.#held.take(outcome.id)
      return knock ? [{ knock, outcome }] : []
    })
    return this.#settle(
      known.map(({ knock }) => knock),
      (packet, i, behind) =>
        this.#decided(packet, i, this.verifier.decideSigned(packet, known[i]?.outcome as SignedOutcome), behind),
    )
  }

  /** Decides the answers of packets that were claimed, or could not be, and of what waits behind them. */
  onClaimed(outcomes: readonly ClaimOutcome[]): HeldAnswer[] {
    const known = outcomes.flatMap(({ id, result }) => {
      const knock = this.#held.take(id)
      return knock?.decision ? [{ knock, decision: claimedOr(result, knock.decision) }] : []
    })
    return this.#settle(
      known.map(({ knock }) => knock),
      (packet, i, behind) => this.#carryOut(packet, i, known[i]?.decision as Decision, behind, true),
    )
  }

  /** The answers to packets that are held for too long. */
  lateAnswers(): HeldAnswer[] {
    if (this.#held.size === 0) return []
    const now = this.#parts.clock.monotonic()
    return [...this.#held.releaseLate(now), ...this.#refuse(this.#held.takeLate(now), ({ late }) => late)]
  }

  /** The answers to all packets that are held. */
  giveUp(): HeldAnswer[] {
    const reasonOf = ({ decision }: HeldKnock) => (decision ? 'fleet-away' : 'signatures-down')
    return [...this.#held.releaseLate(), ...this.#refuse(this.#held.takeAll(), reasonOf)]
  }

  /** The answers to the connections that waited for the grant of this effect. */
  onCarriedOut(awaited: number): readonly HeldAnswer[] {
    return this.#held.release(awaited)
  }

  /** In milliseconds, for the queue: -1 where nothing is held, and nothing to prepare. */
  longestWait(): number {
    if (this.#isPreparing) return preparingMilliseconds
    return this.#held.size > 0 ? tickMilliseconds : -1
  }

  /** Does a bounded part of what packets will need. To be called when packets are answered. */
  prepare(): void {
    this.#isPreparing = this.verifier.prepare()
  }

  #refuse(knocks: readonly HeldKnock[], reasonOf: (knock: HeldKnock) => Refusal): HeldAnswer[] {
    return this.#settle(knocks, (packet, i, behind) => {
      const knock = knocks[i] as HeldKnock
      const { decision } = knock
      const reason = reasonOf(knock)
      const refused: Decision = decision ? refusedOf(decision, reason) : { kind: 'refuse', reason }
      return this.#carryOut(packet, i, refused, behind, true)
    })
  }

  /** Answers what was held, or holds it again. */
  #settle(
    knocks: readonly HeldKnock[],
    answer: (packet: Packet, i: number, behind: HeldAnswer[]) => number,
  ): HeldAnswer[] {
    if (knocks.length === 0) return []
    const packets = knocks.map(({ packet }) => packet)
    const batch: Batch = { packets, count: packets.length, answers: new Float64Array(packets.length) }
    this.#grants.begin()
    for (const [i, { packet, behind }] of knocks.entries()) batch.answers[i] = answer(packet, i, behind)
    this.#commit(batch)
    return knocks.flatMap(({ packet: { id }, behind }, i) => {
      const mark = batch.answers[i] as number
      return mark === answeredLater ? behind : [{ id, mark }, ...behind]
    })
  }

  /** What is on disk by now can be claimed. */
  #commit(batch: Batch): void {
    const isOnDisk = this.#grants.commit(batch)
    const knocks = this.#toClaim
    if (knocks.length === 0) return
    this.#toClaim = []
    if (isOnDisk) this.claimKnocks?.(knocks.map(claimOf))
    else for (const knock of knocks) this.#held.giveUpClaim(knock, 'state-unwritable')
  }

  /** Tells the other thread what was decided. Posting a message takes longer than a knock, so that packets go first. */
  onAnswered(): void {
    // What is done comes first: the log says what became of it.
    const effects = this.#grants.takeEffects()
    // A command that closes takes back what is noted by then.
    if (effects.some(({ kind }) => kind === 'revoke')) this.#events.flushNotes(this.#parts.onEvents)
    if (effects.length > 0) this.#parts.onEffects(effects)
    this.#events.flush(this.#parts.onEvents)
    this.#parts.own?.tell()
    this.#warnOfClock()
  }

  #answer(packet: Packet, index: number): number {
    const { marks, counters, own } = this.#parts
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
    // Neither a knock nor a stranger's: it opens nothing, and nothing counts it.
    if (own?.takes(packet)) return others + marks.refused
    const decision = this.verifier.verify(packet)
    return decision.kind === 'verify' ? this.#hold(packet, index) : this.#decided(packet, index, decision)
  }

  /** Carries a decision out, or leaves the packet without an answer and has it claimed first. */
  #decided(packet: Packet, index: number, decision: Decision, behind?: HeldAnswer[]): number {
    if (decision.kind === 'refuse' || !isOncePerGroup(decision)) return this.#carryOut(packet, index, decision, behind)
    const { clock } = this.#parts
    const held = this.claimKnocks
      ? this.#held.holdClaim(packet, decision, clock.monotonic(), behind)
      : ('fleet-away' as const)
    if (typeof held === 'string') return this.#carryOut(packet, index, refusedOf(decision, held), behind)
    this.#grants.note(decision.credential, packet, decision.knock)
    this.#toClaim.push(held)
    return answeredLater
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

  /**
   * The answer to a knock on which this is decided, and what follows it. `behind`: connections that wait for it. `isNoted`: it is
   * on disk already.
   */
  #carryOut(packet: Packet, index: number, decided: Decision, behind?: HeldAnswer[], isNoted = false): number {
    const { marks, clock, counters, tally, addressText } = this.#parts
    const others = (packet.mark & marks.others) >>> 0
    const decision = this.#bounded(decided)
    this.#events.addDecision(packet, decision)
    if (decision.kind === 'grant') {
      for (const one of decision.more ?? []) this.#events.addDecision(packet, one)
      const awaited = isAwaited(decision) ? this.#held.awaitGrant(packet, clock.monotonic(), behind) : undefined
      this.#grants.grant(index, decision, packet, effectsOf(decision, packet, addressText, awaited), isNoted)
      return others + (isByMark(decision) ? marks.action(decision.credential.action) : marks.refused)
    }
    counters.add(decision.reason)
    const { credential, knock } = decision
    tally.refuse(credential?.name ?? '', decision.reason)
    if (!isNoted && refusedUsedUp.has(decision.reason) && credential && knock)
      this.#grants.note(credential, packet, knock)
    return others + marks.refused
  }

  /** What has to follow knocks is done by another thread, which must not be flooded by those who have a key. */
  #bounded(decision: Decision): Decision {
    if (decision.kind === 'refuse') return decision
    if (!isFollowed(decision)) return decision
    if (this.#followed.pass(this.#parts.clock.monotonic())) return decision
    const { credential, knock, clockDifferenceSeconds } = decision
    return { kind: 'refuse', reason: 'rate-limited', credential, knock, clockDifferenceSeconds }
  }

  /** A knock of a sequence goes on to whoever listens there, whatever it completes. */
  #step(packet: Packet, index: number, stray: boolean): number {
    const { marks, counters, tally, clock, addressText } = this.#parts
    const others = (packet.mark & marks.others) >>> 0
    const decision = this.steps.step(packet, stray)
    if (!decision) return others
    const { sequence } = decision
    const isComplete = decision.kind === 'complete'
    const tooMany = isComplete && sequence.triggers && !this.#followed.pass(clock.monotonic())
    if (sequence.once && isComplete) this.#grants.follow({ kind: 'spent', credential: sequence.name })
    const reason = !isComplete ? decision.reason : tooMany ? 'rate-limited' : undefined
    const refused = reason !== undefined
    counters.add(reason ?? 'accepted')
    if (reason === undefined) tally.accept(sequence.name)
    else tally.refuse(sequence.name, reason)
    if (!refused) this.#grants.complete(index)
    this.#events.addSequence(packet, sequence, reason)
    if (refused) return others
    this.#grants.follow(...effectsOfSequence(sequence, packet, addressText))
    return others + marks.action(sequence.action)
  }

  #warnOfClock(): void {
    const jump = this.#clockJump
    if (jump === 0) return
    this.#clockJump = 0
    this.#parts.onTrouble('warn', `the clock was set ${jump > 0 ? 'ahead' : 'back'} by ${Math.abs(jump)} s`)
  }
}

const isOncePerGroup = ({ credential, more = [] }: GrantDecision): boolean =>
  credential.oncePerGroup || more.some(one => one.credential.oncePerGroup)

/** Its longest time counts for all that it opens. */
function claimOf({ id, packet, decision }: HeldKnock): KnockClaim {
  const { knock, credential, more = [] } = decision as GrantDecision
  const digest = new Uint8Array(packet.buffer.subarray(knock.digestAt, knock.digestAt + digestLength))
  const skew = Math.max(credential.skew, ...more.map(one => one.credential.skew))
  return { id, digest, time: knock.time, skew }
}

function refusedOf({ credential, knock, clockDifferenceSeconds, signer }: GrantDecision, reason: Refusal): Decision {
  return { kind: 'refuse', reason, credential, knock, clockDifferenceSeconds, ...(signer && { signer }) }
}

const claimedOr = (result: ClaimOutcome['result'], decision: GrantDecision): Decision =>
  result === 'first' ? decision : refusedOf(decision, result)
