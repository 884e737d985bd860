import type { Exclusive } from './lock.js'
import type { Nft } from './nft.js'
import type { IptablesQueue } from './table/iptables-queue.js'
import type { TableNote } from './table-note.js'

/** What every change of the ruleset goes through. */
export interface RulesetAccess {
  readonly nft: Nft
  readonly iptablesQueue: IptablesQueue
  /** The lock that all programs of pkctl share. */
  readonly exclusive: Exclusive
  readonly tableNote: TableNote
}
