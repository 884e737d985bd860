/** The packet worker, as the controller sees it: it verifies knocks in a thread of its own. */
import type { Counters } from '../report/answer-counters.js'
import type { Effect, KnockEvent, SequenceProgress, Suppressed } from '../report/knock-events.js'
import type { CredentialKnocks } from '../report/knock-tally.js'
import type { PacketCredential } from '../verify/packet-credential.js'
import type { ReplayUsage } from '../replay/caches-by-credential.js'
import type { PacketSequence } from '../verify/sequence-verifier.js'
import type { ClaimOutcome, KnockClaim } from './knock-claim.js'
import type { CredentialKeys, KeysReport } from '../verify/signature-job.js'

/** Whether signatures of knocks are verified: `off` where no credential has any, `down` where the thread does not run. */
export type SignatureState = 'off' | 'running' | 'down'

/** What the worker alone knows, for metrics. */
export interface WorkerReport {
  readonly knocks: readonly CredentialKnocks[]
  readonly replay: ReplayUsage
}

export interface PacketWorker {
  readonly counters: Counters
  readonly signatures: SignatureState
  /** Verifies by these credentials from now on. */
  configure(credentials: readonly PacketCredential[], sequences: readonly PacketSequence[]): Promise<void>
  /** Verifies signatures by these keys from now on, and resolves to what was found in their files. */
  useKeys(keys: readonly CredentialKeys[]): Promise<readonly KeysReport[]>
  /** The effect of this number is carried out, or has failed: what waits for it is answered. */
  carriedOut(awaited: number): void
  /** What became of the claim of a knock. */
  claimed(outcome: ClaimOutcome): void
  sequencesInProgress(): Promise<readonly SequenceProgress[]>
  /** Resolves to undefined when the thread ends before it has answered. */
  report(): Promise<WorkerReport | undefined>
  /** Resolves when the thread has answered: it still handles messages. */
  ping(): Promise<void>
  /** Answers the packets that are in the queue, and ends. */
  stop(): Promise<void>
}

export interface PacketWorkerEvents {
  knocks(events: readonly KnockEvent[], suppressed: Suppressed): void
  effects(effects: readonly Effect[]): void
  /** These knocks are to be claimed, and wait for `claimed`. */
  claims(claims: readonly KnockClaim[]): void
  /** The packet worker has answered these own datagrams: see self-test/own-datagrams.ts. */
  ownSeen(numbers: readonly number[]): void
  /** A transaction of some program has changed the ruleset, or several have. */
  rulesetChanged(): void
  trouble(level: 'error' | 'warn', message: string): void
  /** The thread ended although it was not asked to. */
  died(error: Error): void
}
