/** What becomes of a knock, and why: the reasons are in log, events, status and counters. */
import type { VerifiedKnock } from '../knock/index.js'
import { formatRefusals } from '../knock/index.js'
import type { AskedPart } from './asked-part.js'
import type { PacketCredential } from './packet-credential.js'

/** Why a knock was refused. */
export const refusals = [
  'malformed',
  'unknown-tag',
  'wrong-port',
  'bad-hash',
  'out-of-time',
  'skewed',
  'replayed',
  'stale',
  'rate-limited',
  'address-not-allowed',
  'link-local',
  ...formatRefusals,
  'port-not-allowed',
  'expired',
  'line-unmarked',
  'memory-full',
  'state-unwritable',
] as const
export type Refusal = (typeof refusals)[number]

/** What a sender without a key can cause. */
export const refusedUnverified: ReadonlySet<Refusal> = new Set([
  'malformed',
  'unknown-tag',
  'wrong-port',
  'bad-hash',
  'out-of-time',
])
/** What a copy of a valid knock is enough for. */
export const refusedCopies: ReadonlySet<Refusal> = new Set(['skewed', 'replayed', 'stale'])

/** The knock was valid and new, and is used up by the refusal. */
export const refusedUsedUp: ReadonlySet<Refusal> = new Set([
  'rate-limited',
  'address-not-allowed',
  'link-local',
  ...formatRefusals,
  'port-not-allowed',
  'expired',
])

/** What policy concluded of one knock. The reason is for the operator; the sender never sees it. */
export type Decision =
  | {
      readonly kind: 'grant'
      readonly credential: PacketCredential
      readonly knock: VerifiedKnock
      readonly clockDifferenceSeconds: number
      /** What it asks for, where that is not all that the credential's action grants. */
      readonly part?: AskedPart
    }
  | {
      readonly kind: 'refuse'
      readonly reason: Refusal
      readonly credential?: PacketCredential
      /** Set when the packet was made with the credential's secret. */
      readonly knock?: VerifiedKnock
      /** How far the client's clock is ahead of ours; set with `knock`. */
      readonly clockDifferenceSeconds?: number
    }
