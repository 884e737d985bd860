/** What the main thread and its two workers send each other. What these say between them is in src/controller/verify/signature-job.ts. */
import type { MessagePort } from 'node:worker_threads'
import type {
  ClaimOutcome,
  CredentialKeys,
  Effect,
  KeysReport,
  KnockClaim,
  KnockEvent,
  PacketCredential,
  PacketSequence,
  SequenceProgress,
  Suppressed,
  WorkerReport,
} from '../controller/index.js'

/** What the thread gets at its start. */
export interface PacketWorkerData {
  readonly queue: { readonly number: number; readonly maxLength: number }
  readonly mask: number
  readonly markSeed: number
  readonly stateDirectory: string
  readonly limits: { readonly entries: number; readonly anyClockEntries: number }
  readonly counters: SharedArrayBuffer
  readonly recent: SharedArrayBuffer
  /** By which the own datagrams of self-tests are known. */
  readonly selfTestToken: Uint8Array
}

/** To the packet worker. */
export type WorkerRequest =
  | {
      readonly kind: 'configure'
      readonly credentials: readonly PacketCredential[]
      readonly sequences: readonly PacketSequence[]
    }
  /** Where signatures are verified from now on; null while they are not. */
  | { readonly kind: 'signatures'; readonly jobs: MessagePort | null }
  /** An effect that connections wait for is carried out, or has failed. */
  | { readonly kind: 'carried-out'; readonly awaited: number }
  | { readonly kind: 'claimed'; readonly outcome: ClaimOutcome }
  | { readonly kind: 'list-sequences' }
  | { readonly kind: 'report' }
  | { readonly kind: 'ping' }
  | { readonly kind: 'stop' }

/** From the packet worker. `configured`, `sequences`, `report` and `pong` answer requests of their kind, in order. */
export type WorkerMessage =
  | { readonly kind: 'ready'; readonly wakeWriter: number }
  | { readonly kind: 'failed'; readonly message: string; readonly hint?: string }
  | { readonly kind: 'configured' }
  | { readonly kind: 'sequences'; readonly sources: readonly SequenceProgress[] }
  | { readonly kind: 'report'; readonly report: WorkerReport }
  | { readonly kind: 'pong' }
  | { readonly kind: 'claims'; readonly claims: readonly KnockClaim[] }
  | { readonly kind: 'own-seen'; readonly numbers: readonly number[] }
  /** The ruleset has changed. */
  | { readonly kind: 'ruleset' }
  | { readonly kind: 'knocks'; readonly events: readonly KnockEvent[]; readonly suppressed: Suppressed }
  | { readonly kind: 'effects'; readonly effects: readonly Effect[] }
  | { readonly kind: 'trouble'; readonly message: string; readonly level: 'error' | 'warn' }

/** What the thread gets at its start that verifies signatures, beside its end of the channel from the packet worker. */
export interface SignatureWorkerData {
  /** Wakes the packet worker up. */
  readonly wakeWriter: number
}

/** To the thread that verifies signatures. */
export type SignatureRequest =
  { readonly kind: 'keys'; readonly keys: readonly CredentialKeys[] } | { readonly kind: 'ping' }

/** From it, in the order of the requests of each kind. */
export type SignatureMessage =
  { readonly kind: 'keys'; readonly reports: readonly KeysReport[] } | { readonly kind: 'pong' }
