/**
 * What the packets of one batch are granted, until it counts: it is noted on disk first, because what cannot be remembered
 * could be sent again after a restart. Then it is counted, and noted for those who ask whether the kernel has made the grant.
 */
import type { VerifiedKnock } from '../../knock/index.js'
import type { Marks, RecentGrants } from '../../nft/index.js'
import type { Batch, Packet } from '../../queue/index.js'
import type { Clock } from '../clock.js'
import type { Counters } from '../report/answer-counters.js'
import type { EventCollector } from '../report/event-collector.js'
import { EventLimiter } from '../report/event-limiter.js'
import type { GrantDecision } from '../verify/decision.js'
import type { Effect } from '../report/knock-events.js'
import type { KnockTally } from '../report/knock-tally.js'
import type { PacketCredential } from '../verify/packet-credential.js'
import type { ReplayJournal } from '../replay/replay-journal.js'

export interface BatchGrantsParts {
  readonly marks: Marks
  readonly journal: Pick<ReplayJournal, 'append' | 'commit'>
  readonly counters: Counters
  readonly tally: KnockTally
  readonly clock: Clock
  /** Where answers that grant or revoke are noted, with seconds of a clock that all threads share. */
  readonly recent: RecentGrants
  readonly steadySeconds: () => number
  readonly onTrouble: (level: 'error' | 'warn', message: string) => void
}

/** Gets the number of each grant that connections wait for, and that is not asked for after all. */
type OnForgone = (awaited: number) => void

export class BatchGrants {
  readonly #parts: BatchGrantsParts
  readonly #events: EventCollector
  readonly #onForgone: OnForgone
  readonly #trouble = new EventLimiter(1)
  #eventsBefore = 0
  readonly #granted: number[] = []
  /** The decisions behind `#granted`. */
  readonly #grantedKnocks: GrantDecision[] = []
  /** Steps that completed a sequence. */
  readonly #completed: number[] = []
  /** What follows knocks that must be noted on disk before they count. */
  #promised: Effect[] = []
  #effects: Effect[] = []

  constructor(parts: BatchGrantsParts, events: EventCollector, onForgone: OnForgone) {
    this.#parts = parts
    this.#events = events
    this.#onForgone = onForgone
  }

  /** Before the first packet of a batch. */
  begin(): void {
    this.#granted.length = 0
    this.#grantedKnocks.length = 0
    this.#completed.length = 0
    this.#eventsBefore = this.#events.count
  }

  /** The packet of this index is an accepted knock; `effects` follow it once it counts. `isNoted`: it is on disk already. */
  grant(index: number, decision: GrantDecision, packet: Packet, effects: readonly Effect[], isNoted = false): void {
    if (!isNoted) this.note(decision.credential, packet, decision.knock)
    this.#granted.push(index)
    this.#grantedKnocks.push(decision)
    for (const effect of effects) this.#promised.push(effect)
  }

  /** The packet of this index completes a sequence. Sequences are in no journal. */
  complete(index: number): void {
    this.#completed.push(index)
  }

  /** Something follows, whatever becomes of the batch. */
  follow(...effects: readonly Effect[]): void {
    this.#effects.push(...effects)
  }

  /** A knock is used up. */
  note(credential: PacketCredential, packet: Packet, { digestAt, time }: VerifiedKnock): void {
    this.#parts.journal.append(credential, packet.buffer, digestAt, time)
  }

  /** Notes on disk what the batch grants, or refuses all of it, and returns false. */
  commit(batch: Batch): boolean {
    const { journal, clock, counters, tally } = this.#parts
    let isOnDisk = true
    try {
      journal.commit(clock.now())
      this.#effects.push(...this.#promised)
    } catch (error) {
      isOnDisk = false
      this.#refuse(batch, error as Error)
    }
    this.#promised = []
    counters.add('accepted', this.#granted.length)
    for (const { credential, clockDifferenceSeconds } of this.#grantedKnocks)
      tally.accept(credential.name, clockDifferenceSeconds)
    if (this.#granted.length + this.#completed.length > 0) this.#remember(batch)
    return isOnDisk
  }

  /** What follows the batches since the last call. */
  takeEffects(): readonly Effect[] {
    const effects = this.#effects
    if (effects.length > 0) this.#effects = []
    return effects
  }

  #refuse(batch: Batch, error: Error): void {
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
    for (const effect of this.#promised)
      if (effect.kind === 'on-behalf' && effect.awaited !== undefined) this.#onForgone(effect.awaited)
    this.#events.refuseSince(this.#eventsBefore, 'state-unwritable')
    this.#granted.length = 0
    this.#grantedKnocks.length = 0
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
}
