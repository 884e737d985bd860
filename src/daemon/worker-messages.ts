/** What the main thread and the packet worker's thread send each other. */
import type {
  Effect,
  KnockEvent,
  PacketCredential,
  PacketSequence,
  SequenceProgress,
  Suppressed,
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
}

/** To the packet worker. */
export type WorkerRequest =
  | {
      readonly kind: 'configure'
      readonly credentials: readonly PacketCredential[]
      readonly sequences: readonly PacketSequence[]
    }
  | { readonly kind: 'list-sequences' }
  | { readonly kind: 'ping' }
  | { readonly kind: 'stop' }

/** From the packet worker. `configured`, `sequences` and `pong` answer requests of their kind, in order. */
export type WorkerMessage =
  | { readonly kind: 'ready'; readonly wakeWriter: number }
  | { readonly kind: 'failed'; readonly message: string; readonly hint?: string }
  | { readonly kind: 'configured' }
  | { readonly kind: 'sequences'; readonly sources: readonly SequenceProgress[] }
  | { readonly kind: 'pong' }
  | { readonly kind: 'knocks'; readonly events: readonly KnockEvent[]; readonly suppressed: Suppressed }
  | { readonly kind: 'effects'; readonly effects: readonly Effect[] }
  | { readonly kind: 'trouble'; readonly message: string; readonly level: 'error' | 'warn' }
