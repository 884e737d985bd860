/** What becomes of a knock, and why: the reasons are in log, events, status and counters. */
import type { Requested, VerifiedKnock } from '../../knock/index.js'
import { formatRefusals } from '../../knock/index.js'
import { claimRefusals } from '../packets/knock-claim.js'
import type { RequestedPart } from './requested-part.js'
import type { PacketCredential } from './packet-credential.js'
import type { KnockSigner } from './signature-job.js'
import { signedRefusals } from './signature-job.js'

const unverified = [
  'malformed',
  'unknown-tag',
  'wrong-port',
  'bad-hash',
  'out-of-time',
  ...signedRefusals,
  'signatures-busy',
  'signatures-late',
  'signatures-down',
] as const

/** Why a knock was refused. */
export const refusals = [
  ...unverified,
  'skewed',
  'replayed',
  'stale',
  'rate-limited',
  'address-not-allowed',
  'link-local',
  ...formatRefusals,
  'port-not-allowed',
  'prefix-not-allowed',
  'expired',
  'line-unmarked',
  'memory-full',
  'state-unwritable',
  ...claimRefusals,
] as const
export type Refusal = (typeof refusals)[number]

/** What a sender without a key can cause. */
export const refusedUnverified: ReadonlySet<Refusal> = new Set(unverified)
/** What a copy of a valid knock is enough for. */
export const refusedCopies: ReadonlySet<Refusal> = new Set(['skewed', 'replayed', 'stale'])

/** The knock was valid and new, and is used up by the refusal. */
export const refusedUsedUp: ReadonlySet<Refusal> = new Set([
  'rate-limited',
  'address-not-allowed',
  'link-local',
  ...formatRefusals,
  'port-not-allowed',
  'prefix-not-allowed',
  'expired',
  ...claimRefusals,
])

/** What policy concluded of one knock. The reason is for the operator; the sender never sees it. */
export type Decision =
  | {
      readonly kind: 'grant'
      readonly credential: PacketCredential
      readonly knock: VerifiedKnock
      readonly clockDifferenceSeconds: number
      /** What it asks for, where that is not all that the credential's action grants. */
      readonly part?: RequestedPart
      /** Who has signed. */
      readonly signer?: KnockSigner
      /** How many bits of its source it asks for; each service grants what it grants of every source. */
      readonly prefix?: number
      /** An address that is granted access as well. */
      readonly also?: Requested
      /** It takes back the grant that it could be given. */
      readonly closes?: true
      /** What other credentials add, for which its signer counts as well; each is a part. */
      readonly more?: readonly GrantDecision[]
    }
  | {
      readonly kind: 'refuse'
      readonly reason: Refusal
      readonly credential?: PacketCredential
      /** Set when the packet was made with the credential's secret. */
      readonly knock?: VerifiedKnock
      /** How far the client's clock is ahead of ours; set with `knock`. */
      readonly clockDifferenceSeconds?: number
      /** Who has signed, or only says so, where the signature was not verified. */
      readonly signer?: KnockSigner
    }

/** The decision that accepts a knock. */
export type GrantDecision = Extract<Decision, { kind: 'grant' }>

/** What is said of a packet at once: a decision, or that another thread must verify its signature first. */
export type FirstDecision = Decision | { readonly kind: 'verify' }
