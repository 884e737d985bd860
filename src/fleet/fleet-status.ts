/** What a server of a fleet says of it: to people, to programs, and to the metrics. */
import type { ClaimStatus } from './claim.js'
import type { Hello } from './hello.js'
import type { GrantedBy, MessageRefusal } from './message.js'
import type { NodeState } from './nodes.js'

/** Why a message does not count; `not-accepted`: of a service of which this server does not believe others. */
export type FleetRefusal = MessageRefusal | 'not-accepted' | 'too-many' | 'over'

export interface FleetStatus {
  /** Of pkctl. */
  readonly version: string
  readonly group: string
  readonly node: string
  /** `away`: local knocks work, and the others hear of them later. */
  readonly engine: 'connecting' | 'connected' | 'away'
  /** Why it is away; empty otherwise. */
  readonly because: string
  /** Since when it is so: Unix milliseconds. */
  readonly since: number
  readonly share: readonly string[]
  readonly accept: readonly string[]
  readonly nodes: readonly NodeState[]
  /** What this server says of itself to the others. */
  readonly own: Hello
  /** Of knocks that count on one server alone; null where there are none. */
  readonly claims: ClaimStatus | null
  /** Grants of others that run. */
  readonly foreignGrants: number
  /** Grants of this node that run and that others were told of. */
  readonly ownGrants: number
  /** Messages that wait for the engine, and that were given up because there were too many. */
  readonly waiting: number
  readonly dropped: number
  readonly sent: number
  readonly received: number
  /** How many messages did not count, by reason. */
  readonly refused: Readonly<Partial<Record<FleetRefusal, number>>>
  /** Another server has the name of this node. */
  readonly nameTaken: boolean
}

/** What became of a change that the whole fleet is to make. */
export interface FleetTold {
  readonly group: string
  /** Whether the engine has it. Otherwise it waits for the engine. */
  readonly told: boolean
  /** Why it waits; empty otherwise. */
  readonly because: string
}

/** As it goes over the socket. */
export interface FleetAnswer {
  readonly status: FleetStatus
  readonly grants: readonly {
    readonly service: string
    readonly source: string
    readonly by: GrantedBy
    /** The server that has made it. */
    readonly node: string
    readonly secondsLeft: number
    /** The same end, in ISO 8601 and UTC. */
    readonly until: string
  }[]
}
