/** The packet worker, as the controller sees it: it verifies knocks in a thread of its own. */
import type { Counters } from './counters.js'
import type { Effect, KnockEvent, SequenceProgress, Suppressed } from './knock-events.js'
import type { PacketCredential } from './packet-credential.js'
import type { PacketSequence } from './sequence-verifier.js'

export interface PacketWorker {
  readonly counters: Counters
  /** Verifies by these credentials from now on. */
  configure(credentials: readonly PacketCredential[], sequences: readonly PacketSequence[]): Promise<void>
  sequencesInProgress(): Promise<readonly SequenceProgress[]>
  /** Resolves when the thread has answered: it still handles messages. */
  ping(): Promise<void>
  /** Answers the packets that are in the queue, and ends. */
  stop(): Promise<void>
}

export interface PacketWorkerEvents {
  knocks(events: readonly KnockEvent[], suppressed: Suppressed): void
  effects(effects: readonly Effect[]): void
  trouble(level: 'error' | 'warn', message: string): void
  /** The thread ended although it was not asked to. */
  died(error: Error): void
}
