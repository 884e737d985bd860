/** Services and grants as they stand in the kernel, read back from pkctl's table: the only place where they are kept. */
import type { IpFamily, PortRange } from '../../net/index.js'
import { bitsOf, familyOf, ipFamilies } from '../../net/index.js'
import type { LimitRate } from '../nft-json.js'
import type { ListedChain, ListedElement, Listing } from '../listing.js'
import { asObject, asText, packetsOf } from '../listing.js'
import { readInterfaces } from '../table/incoming-interface.js'
import { gateIsSound, portKeyId, portKeysOf, portMapEntries } from '../table/gate.js'
import { commentsOf, earlierCommentsOf } from '../table/service-chain.js'
import { decodeSpec } from '../table/service-comment.js'
import { setNamesOf, setOf } from '../table/service-sets.js'
import type { LogRule, ServiceSpec } from '../table/service-spec.js'
import { serviceChain, grantPrefix } from '../table/service-spec.js'

export interface ServiceState {
  readonly spec: ServiceSpec
  /** False when rules are missing or were edited: making the service again repairs it. */
  readonly sound: boolean
  readonly grants: readonly Grant[]
  /** Packets counted at the chain's end, and accepted by a grant or an allowed prefix. */
  readonly refusedPackets: number
  readonly admittedPackets: number
}

interface Grant {
  /** An address, or a prefix in CIDR notation where the service grants prefixes. */
  readonly source: string
  readonly by: 'knock' | 'hand'
  /** Seconds left; null when the grant has no end. */
  readonly secondsLeft: number | null
  /** What a grant by hand says of itself: see grant-comment.ts. */
  readonly comment?: string
}

/** The services in the kernel, by name. What carries a service's name and is not pkctl's work is left out. */
export function readServices(listing: Listing): Map<string, ServiceState> {
  const services = new Map<string, ServiceState>()
  for (const chain of listing.chains.values()) {
    if (!chain.name.startsWith('pk-')) continue
    const state = readService(chain, listing)
    if (state) services.set(state.spec.name, state)
  }
  return new Map([...services].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function readService(chain: ListedChain, listing: Listing): ServiceState | undefined {
  const name = chain.name.slice('pk-'.length)
  const kept = decodeSpec(chain.rules.at(-1)?.comment)
  const keys = portMapEntries(listing).get(serviceChain(name)) ?? []
  if (!kept) return undefined
  const log = chain.rules.find(rule => rule.comment === 'log')
  const spec: ServiceSpec = {
    name,
    ...kept,
    ports: distinct(keys.map(key => key.ports)),
    hook: keys[0]?.hook ?? 'input',
    interfaces: readInterfaces(chain.rules),
    allow: ipFamilies.flatMap(version =>
      (listing.sets.get(setOf(name, 'allow', version))?.elements ?? []).map(prefixText),
    ),
    log: log ? readLog(log.expr) : null,
  }
  return {
    spec,
    sound:
      setNamesOf(spec).every(set => listing.sets.has(set)) &&
      gateIsSound(spec.hook, listing) &&
      hasItsPorts(spec, listing) &&
      hasComments(chain, commentsOf(spec)),
    grants: readGrants(spec, listing),
    refusedPackets: packets(chain, comment => comment === 'refused' || decodeSpec(comment) !== undefined),
    admittedPackets: packets(chain, comment => /^(always allowed|granted|the connection)/.test(comment)),
  }
}

function hasItsPorts(spec: ServiceSpec, listing: Listing): boolean {
  const keys = portMapEntries(listing).get(serviceChain(spec.name)) ?? []
  const wanted = new Set(portKeysOf(spec).map(portKeyId))
  return keys.length > 0 && keys.length === wanted.size && keys.every(key => wanted.has(portKeyId(key)))
}

const hasComments = ({ rules }: ListedChain, comments: readonly string[]) =>
  comments.length === rules.length && comments.every((comment, i) => rules[i]?.comment === comment)

/** Services as an earlier version made them, and unchanged since: their rules have to be made again. */
export function servicesOfEarlierVersion(services: Iterable<ServiceState>, listing: Listing): ServiceSpec[] {
  return [...services].flatMap(({ spec, sound }) => {
    const chain = listing.chains.get(serviceChain(spec.name))
    return !sound && chain && hasItsPorts(spec, listing) && hasComments(chain, earlierCommentsOf(spec)) ? [spec] : []
  })
}

/** The grants of a service, those by knock first. */
function readGrants(spec: ServiceSpec, listing: Listing): Grant[] {
  return (['knock', 'add'] as const).flatMap(role =>
    ipFamilies.flatMap(version =>
      (listing.sets.get(setOf(spec.name, role, version))?.elements ?? []).map(element => ({
        source: sourceText(element, grantPrefix(spec, version), version),
        by: role === 'knock' ? ('knock' as const) : ('hand' as const),
        secondsLeft: element.timeout === undefined ? null : (element.expires ?? element.timeout),
        ...(element.comment === undefined ? {} : { comment: element.comment }),
      })),
    ),
  )
}

function sourceText(element: ListedElement, prefix: number, version: IpFamily): string {
  const address = asText(element.value)
  return prefix === bitsOf(version) ? address : `${address}/${prefix}`
}

function prefixText(element: ListedElement): string {
  const { addr, len } = asObject(asObject(element.value)['prefix'])
  if (addr !== undefined) return `${asText(addr)}/${asText(len)}`
  const address = asText(element.value)
  return `${address}/${bitsOf(familyOf(address))}`
}

function packets(chain: ListedChain, wanted: (comment: string) => boolean): number {
  return chain.rules.filter(rule => wanted(rule.comment ?? '')).reduce((sum, rule) => sum + packetsOf(rule), 0)
}

function readLog(expr: readonly unknown[]): LogRule {
  const log = expr.map(e => asObject(asObject(e)['log'])).find(e => Object.keys(e).length > 0) ?? {}
  const limit = expr.map(e => asObject(asObject(e)['limit'])).find(e => Object.keys(e).length > 0)
  const unit = (asText(limit?.['per']) || 'minute') as LimitRate['unit']
  return {
    prefix: asText(log['prefix']),
    level: asText(log['level']) || 'warn',
    rate: limit ? { count: Number(limit['rate']), unit } : null,
    burst: Number(limit?.['burst'] ?? 0),
  }
}

function distinct(ports: readonly PortRange[]): PortRange[] {
  const byText = new Map(ports.map(range => [`${range.first}-${range.last}`, range]))
  return [...byText.values()].sort((a, b) => a.first - b.first)
}
