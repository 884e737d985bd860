/**
 * Collects what is reported of knocks until the packets are answered. Each kind of knock has a limit of its own, so that
 * packets that anyone can send never keep the knocks of a user out of the log.
 */
import type { Packet } from '../../queue/index.js'
import type { Clock } from '../clock.js'
import type { Decision, GrantDecision, Refusal } from '../verify/decision.js'
import { refusedCopies, refusedUnverified } from '../verify/decision.js'
import { EventLimiter } from './event-limiter.js'
import { closesByCommand } from '../packets/knock-effects.js'
import type { KnockEvent, Suppressed } from './knock-events.js'
import type { PacketSequence } from '../verify/sequence-verifier.js'

const eventsPerSecond = 50
/** A copy of one valid knock can be sent without end. */
const copiesPerSecond = 2

/** Between two batches, and in a second: each is noted by the thread that also carries out commands. */
const mostUnnamed = 4096

export class EventCollector {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #addressText: (packet: Packet) => string
  readonly #verified = new EventLimiter(eventsPerSecond)
  readonly #copies = new EventLimiter(copiesPerSecond)
  readonly #unverified = new EventLimiter(eventsPerSecond)
  #events: KnockEvent[] = []
  #unnamed: KnockEvent[] = []
  /** What the kernel was last told to do for a source in this second, where it was noted: the same again says nothing new. */
  readonly #noted = new Map<string, string>()
  /** How many were noted in this second, without those that the log names. */
  #notes = 0
  #notesUntil = -Infinity
  /** Suppressed events of accepted knocks for which the kernel makes a grant. */
  #grants = 0

  constructor(clock: Pick<Clock, 'monotonic'>, addressText: (packet: Packet) => string) {
    this.#clock = clock
    this.#addressText = addressText
  }

  /** How many events wait. */
  get count(): number {
    return this.#events.length
  }

  /** Adds the decision about a knock of one packet, if its limit allows. */
  addDecision(packet: Packet, decision: Decision): void {
    if (!this.#limiterFor(decision).pass(this.#clock.monotonic())) {
      if (isGrantByMark(decision)) this.#grants++
      if (decision.kind !== 'grant') return
      // Whose grants those of signed knocks are, effects say.
      if (!decision.signer) this.#keepUnnamed(this.#eventOf(packet, decision))
      else if (revokes(decision)) this.#noted.clear()
      return
    }
    const event = this.#eventOf(packet, decision)
    this.#isNews(event)
    this.#events.push(event)
  }

  #eventOf(packet: Packet, decision: Decision): KnockEvent {
    return {
      kind: decision.kind === 'grant' && revokes(decision) ? 'revoke' : decision.kind,
      source: packet.version === 0 ? 'unknown' : this.#addressText(packet),
      port: packet.version === 0 ? 0 : packet.destinationPort,
      ...(decision.kind === 'refuse' ? { reason: decision.reason } : {}),
      ...(decision.credential ? { credential: decision.credential.name } : {}),
      ...(decision.kind === 'grant' && decision.knock.requested
        ? { onBehalfOf: decision.knock.requested.address }
        : {}),
      ...(decision.kind === 'grant' && decision.part ? { part: decision.part } : {}),
      ...(decision.kind === 'grant' && closesByCommand(decision) ? { byCommand: true } : {}),
      ...(decision.kind === 'grant' && decision.prefix !== undefined ? { prefix: decision.prefix } : {}),
      ...(decision.kind === 'grant' && decision.also ? { also: decision.also.address } : {}),
      ...(decision.signer ? { signer: decision.signer } : {}),
      ...(decision.clockDifferenceSeconds === undefined
        ? {}
        : { clockDifferenceSeconds: decision.clockDifferenceSeconds }),
    }
  }

  /** Adds that a packet completed a sequence, or why its step was refused, if the limit allows. */
  addSequence(packet: Packet, sequence: PacketSequence, reason: Refusal | undefined): void {
    const limiter = reason && refusedUnverified.has(reason) ? this.#unverified : this.#verified
    const isNamed = limiter.pass(this.#clock.monotonic())
    if (!isNamed && reason !== undefined) return
    const event: KnockEvent = {
      kind: reason !== undefined ? 'refuse' : sequence.revokes ? 'revoke' : 'grant',
      ...(reason !== undefined ? { reason } : {}),
      source: this.#addressText(packet),
      port: packet.destinationPort,
      credential: sequence.name,
    }
    if (isNamed) {
      this.#isNews(event)
      this.#events.push(event)
      return
    }
    if (!sequence.revokes) this.#grants++
    this.#keepUnnamed(event)
  }

  /** Makes refusals of the events from this one on. */
  refuseSince(first: number, reason: Refusal): void {
    // Those were answered in the same batch, and opened nothing.
    this.#unnamed = []
    this.#noted.clear()
    this.#events = this.#events.map((event, i) =>
      i < first || event.kind === 'refuse' ? event : { ...event, kind: 'refuse', reason },
    )
  }

  /** Whose grants run has to be known of all, also of those that the log does not name. */
  #keepUnnamed(event: KnockEvent): void {
    if (!this.#isNews(event)) return
    if (this.#unnamed.length >= mostUnnamed || this.#notes >= mostUnnamed) {
      this.#noted.delete(event.source)
      return
    }
    this.#notes++
    this.#unnamed.push(event)
  }

  /** Whether it was not noted of the source a moment ago that the kernel does this for it; it is, from here on. */
  #isNews({ kind, source, credential, onBehalfOf, also, part, byCommand, signer }: KnockEvent): boolean {
    if (kind === 'refuse') return false
    const now = this.#clock.monotonic()
    if (now >= this.#notesUntil) {
      this.#noted.clear()
      this.#notes = 0
      this.#notesUntil = now + 1
    }
    const isByMark = onBehalfOf === undefined && also === undefined && part === undefined && !byCommand
    if (!isByMark || signer) {
      // Of commands there are few, by a limit of their own. They can end what knocks have opened to any address.
      if (!isByMark || kind === 'revoke') this.#noted.clear()
      return true
    }
    const what = `${kind} ${credential}`
    if (this.#noted.get(source) === what) return false
    this.#noted.set(source, what)
    return true
  }

  /** Passes on, before the others, whose grants run by knocks that no user signs. */
  flushNotes(onEvents: (events: readonly KnockEvent[], suppressed: Suppressed) => void): void {
    const unnamed = [...this.#events.filter(({ kind, signer }) => kind !== 'refuse' && !signer), ...this.#unnamed]
    if (unnamed.length === 0) return
    this.#unnamed = []
    this.#events = this.#events.map(event => (unnamed.includes(event) ? { ...event, noted: true } : event))
    onEvents([], { unverified: 0, others: 0, grants: 0, unnamed })
  }

  /** Passes the events on, if there are any, with how many were suppressed. */
  flush(onEvents: (events: readonly KnockEvent[], suppressed: Suppressed) => void): void {
    const unnamed = this.#unnamed
    if (this.#events.length === 0 && unnamed.length === 0) return
    if (unnamed.length > 0) this.#unnamed = []
    // How many there are is said together with what is named: not for each batch.
    if (this.#events.length === 0) {
      onEvents([], { unverified: 0, others: 0, grants: 0, unnamed })
      return
    }
    const unverified = this.#unverified.takeSuppressed()
    onEvents(this.#events, {
      unverified,
      others: this.#verified.takeSuppressed() + this.#copies.takeSuppressed(),
      grants: this.#grants,
      ...(unnamed.length > 0 ? { unnamed } : {}),
    })
    this.#events = []
    this.#grants = 0
  }

  #limiterFor(decision: Decision): EventLimiter {
    if (decision.kind === 'grant') return this.#verified
    if (refusedUnverified.has(decision.reason)) return this.#unverified
    return refusedCopies.has(decision.reason) ? this.#copies : this.#verified
  }
}

const revokes = ({ credential, closes }: GrantDecision): boolean => credential.revokes || closes === true

/** Whether the kernel makes the grant: those on behalf of others, and parts of what a credential opens, are made by commands. */
const isGrantByMark = (decision: Decision): boolean =>
  decision.kind === 'grant' && !revokes(decision) && !decision.part && !decision.knock.requested
