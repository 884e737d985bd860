import type { KnockRate } from '../../config/index.js'
import type { GrantedPorts } from './requested-part.js'

/** A credential, as far as the packet worker needs it. It is posted to another thread: plain values, no functions. */
export interface PacketCredential {
  readonly name: string
  /** Gives the formats of its knocks. */
  readonly type: string
  /** What its formats check packets against. */
  readonly secret: unknown
  /** What its replay cache is found by, also under another name. */
  readonly identity: Uint8Array
  /** UDP port that knocks must be sent to; null for every port. */
  readonly port: number | null
  /** Seconds either way; -1 for any clock. */
  readonly skew: number
  readonly rate: KnockRate | null
  /** The number of the grant action for what the credential opens. */
  readonly action: number
  /** What that action grants, for packets that ask for ports by number. */
  readonly grants: readonly GrantedPorts[]
  /** Prefixes in which an address may be asked for instead of the sender's own; empty when none may. */
  readonly onBehalfOf: readonly string[]
  /** Whether that action revokes grants. */
  readonly revokes: boolean
  /** Seconds: the longest time that a knock can ask for where less is granted; null where it can ask for no more. */
  readonly maxWindow?: number | null
  /** Whether something is to be run as well. */
  readonly triggers: boolean
  /** Whether a link-local source counts: its knock and its grants are limited to one link. */
  readonly linkLocal: boolean
  /** Whether a knock counts on one server of the fleet alone. */
  readonly oncePerGroup: boolean
}
