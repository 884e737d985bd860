/** What the packet worker reports of single knocks: events for the log, and effects that other code must carry out. */
import type { RequestedPart } from '../verify/requested-part.js'
import type { Refusal } from '../verify/decision.js'
import type { KnockSigner } from '../verify/signature-job.js'

/** One decision, for the log. */
export interface KnockEvent {
  readonly kind: 'grant' | 'revoke' | 'refuse'
  readonly reason?: Refusal
  readonly credential?: string
  readonly source: string
  /** The address that gets the grant instead of the source. */
  readonly onBehalfOf?: string
  readonly port: number
  /** What is granted of what the credential could open; undefined for all. */
  readonly part?: RequestedPart
  /** It is carried out by a command, also where it is for the source, and for all that the credential could open. */
  readonly byCommand?: true
  /** Whose its grants are was passed on before. */
  readonly noted?: true
  /** How many bits of its source it asks for. */
  readonly prefix?: number
  /** Another address that gets the grant as well. */
  readonly also?: string
  /** Who has signed, or only says so, where the signature was not verified. */
  readonly signer?: KnockSigner
  /** How far the client's clock is ahead of the server's, in seconds. */
  readonly clockDifferenceSeconds?: number
}

/** What follows a decision outside of the packet worker. Unlike events for the log, no effect is ever suppressed. */
export type Effect =
  /** The knock of a credential with triggers was accepted: `address` has a grant, or has lost it. */
  | { readonly kind: 'opened' | 'closed'; readonly credential: string; readonly address: string }
  /**
   * `address` gets a grant that the kernel cannot add by itself: because it is not the source of the packet, or because
   * no mark stands for the part of the credential's services that is asked for.
   */
  | {
      readonly kind: 'on-behalf'
      readonly credential: string
      readonly address: string
      readonly part?: RequestedPart
      /** Connections wait in the queue until it is carried out, or has failed: the packet worker is told this number. */
      readonly awaited?: number
    }
  /** `address` loses the grants that this part of the credential stands for; undefined for all. */
  | {
      readonly kind: 'revoke'
      readonly credential: string
      readonly address: string
      readonly part?: RequestedPart
    }
  /**
   * Who has signed for what `address` got, or lost; its grant is of the kind that `by` says. Without a signature only for a
   * grant that a command makes.
   */
  | {
      readonly kind: 'signed'
      readonly credential: string
      readonly address: string
      readonly signer?: KnockSigner
      readonly by: 'knock' | 'hand' | 'close'
      readonly part?: RequestedPart
    }
  /** A one-time sequence is used up, and the next one counts. */
  | { readonly kind: 'spent'; readonly credential: string }

/** How many events were kept out of the log: of knocks that need no key (`unverified`), and of others. */
export interface Suppressed {
  readonly unverified: number
  readonly others: number
  /** Of the others, accepted knocks for which the kernel makes a grant. */
  readonly grants: number
  /** Accepted knocks that no user signs, and that the log does not name: whose grants run has to be known of them, too. */
  readonly unnamed?: readonly KnockEvent[]
}

/** A source that has made some of the knocks of a sequence. */
export interface SequenceProgress {
  readonly address: string
  readonly credential: string
  /** How many knocks of how many. */
  readonly made: number
  readonly of: number
}
