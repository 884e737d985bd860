/** A service as values: what is protected, which sources are accepted, and the names that it has in the table. */
import type { IpFamily, PortRange } from '../../net/index.js'
import type { Hook, LimitRate } from '../nft-json.js'

export const protocols = ['tcp', 'udp', 'sctp', 'any'] as const
export type ServiceProtocol = (typeof protocols)[number]

export const closings = ['drop', 'reset', 'icmp', 'accept'] as const
/** What meets a source without a grant; `accept` only watches. */
type Closing = (typeof closings)[number]

export interface LogRule {
  readonly prefix: string
  readonly level: string
  readonly rate: LimitRate | null
  readonly burst: number
}

export interface ServiceSpec {
  readonly name: string
  readonly protocol: ServiceProtocol
  /** In ascending order, without overlap. */
  readonly ports: readonly PortRange[]
  /** Filter only packets that start a TCP connection. */
  readonly syn: boolean
  readonly closing: Closing
  /** Seconds a grant by knock lasts where the credential names none. */
  readonly window: number
  /** A grant is used up by the first connection. */
  readonly singleUse: boolean
  /** All sources are accepted while no daemon says that it listens for knocks. */
  readonly failOpen: boolean
  /** Prefixes in CIDR notation that are always allowed. */
  readonly allow: readonly string[]
  /** How many leading bits of a source are granted together. */
  readonly prefix4: number
  readonly prefix6: number
  readonly hook: Hook
  /** By which interfaces packets must come in to be judged, as src/net/interfaces.ts has their names; empty for all. */
  readonly interfaces: readonly string[]
  readonly log: LogRule | null
}

export const defaultWindowSeconds = 60

export const serviceChain = (service: string): string => `pk-${service}`

/** The prefix bits that a grant for this address family covers. */
export const grantPrefix = (spec: Pick<ServiceSpec, 'prefix4' | 'prefix6'>, version: IpFamily): number =>
  version === 4 ? spec.prefix4 : spec.prefix6

/** The hooks on which these services are. */
export const hooksOf = (services: ReadonlyMap<string, ServiceSpec>): ReadonlySet<Hook> =>
  new Set([...services.values()].map(({ hook }) => hook))
