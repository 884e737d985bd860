/**
 * Where services hang: one base chain for each hook, the *gate*, and verdict maps that lead from protocol and port
 * to the chain of a service. However many services there are, a packet costs one lookup, or two where anybody guards
 * a range of ports, for which a map needs another structure.
 */
import type { PortRange } from '../../net/ports.js'
import * as j from '../json.js'
import type { Command, Hook, Json } from '../json.js'
import type { Listing } from '../listing.js'
import { asArray, asObject } from '../listing.js'
import { protocolNumbers } from './protocols.js'
import type { ServiceSpec } from './service-spec.js'

export const hooks = ['input', 'prerouting'] as const

/** After the packet path's own chains (see packet-path.ts), before everyone's filter chains at 0. */
const gatePriority = -140

export const gateOf = (hook: Hook): string => `gate-${hook}`
/** How a listing describes the gate's base chain. */
export const gateBase = (hook: Hook): string => `filter ${hook} ${gatePriority} accept`
const portMapOf = (hook: Hook) => `services-${hook}`
const rangeMapOf = (hook: Hook) => `ranges-${hook}`

/** One key of the maps: a protocol number, and a port or a range of them. */
export interface PortKey {
  readonly hook: Hook
  readonly protocol: number
  readonly ports: PortRange
}

/** A place in the kernel, and the chain to which it leads. */
export interface PortMapEntry extends PortKey {
  readonly chain: string
}

const isRange = ({ first, last }: PortRange) => first !== last

/** Where the maps must lead to the service's chain. */
export function portKeysOf(spec: ServiceSpec): PortKey[] {
  const { tcp, udp, sctp } = protocolNumbers
  const numbers = spec.protocol === 'any' ? Object.values(protocolNumbers) : [{ tcp, udp, sctp }[spec.protocol]]
  return numbers.flatMap(protocol => spec.ports.map(ports => ({ hook: spec.hook, protocol, ports })))
}

export const portKeyId = ({ hook, protocol, ports }: PortKey): string =>
  `${hook} ${protocol} ${ports.first}-${ports.last}`

/** Whether all that comes to `inner` comes to `outer`. */
export const covers = (outer: PortKey, inner: PortKey): boolean =>
  overlap(outer, inner) && outer.ports.first <= inner.ports.first && inner.ports.last <= outer.ports.last

export const overlap = (a: PortKey, b: PortKey): boolean =>
  a.hook === b.hook && a.protocol === b.protocol && a.ports.first <= b.ports.last && b.ports.first <= a.ports.last

const read = new WeakMap<Listing, ReadonlyMap<string, readonly PortMapEntry[]>>()

/** The places of the kernel's maps, by the chain to which they lead; in ascending order. */
export function portMapEntries(listing: Listing): ReadonlyMap<string, readonly PortMapEntry[]> {
  let places = read.get(listing)
  if (!places) {
    const byChain = new Map<string, PortMapEntry[]>()
    for (const place of readPlaces(listing)) byChain.set(place.chain, [...(byChain.get(place.chain) ?? []), place])
    read.set(listing, (places = byChain))
  }
  return places
}

function readPlaces(listing: Listing): PortMapEntry[] {
  return hooks
    .flatMap(hook =>
      [portMapOf(hook), rangeMapOf(hook)].flatMap(map =>
        (listing.maps.get(map)?.elements ?? []).flatMap(({ value, target }) => {
          const [protocol, ports] = asArray(asObject(value)['concat'])
          const [first, last] = asArray(asObject(ports)['range'] ?? ports).map(Number)
          if (protocol === undefined || first === undefined || target === undefined) return []
          return [{ hook, protocol: protocolNumber(protocol), ports: { first, last: last ?? first }, chain: target }]
        }),
      ),
    )
    .sort((a, b) => a.protocol - b.protocol || a.ports.first - b.ports.first)
}

function protocolNumber(listed: Json): number {
  return typeof listed === 'string' && listed in protocolNumbers
    ? protocolNumbers[listed as keyof typeof protocolNumbers]
    : Number(listed)
}

/** The commands that make the hook's gate, whatever of it is there. */
export function buildGate(hook: Hook, withRanges: boolean): Command[] {
  const type = ['inet_proto', 'inet_service']
  return [
    j.addVerdictMap({ name: portMapOf(hook), type }),
    // Once made it stays until the gate goes: emptied and deleted in one transaction it would fall into the trap that
    // is told at dropGate.
    ...(withRanges ? [j.addVerdictMap({ name: rangeMapOf(hook), type, flags: ['interval'] })] : []),
    j.addBaseChain(gateOf(hook), hook, gatePriority),
    j.flushChain(gateOf(hook)),
    ...lookups(hook, withRanges).map(expr => j.addRule(gateOf(hook), [expr])),
  ]
}

function lookups(hook: Hook, withRanges: boolean): Json[] {
  const key = j.concat(j.meta('l4proto'), j.field('th', 'dport'))
  return [portMapOf(hook), ...(withRanges ? [rangeMapOf(hook)] : [])].map(map => j.vmap(key, map))
}

/** Whether the hook's gate looks into the maps that it must, so that no service is passed by. */
export function gateIsSound(hook: Hook, listing: Listing): boolean {
  const withRanges = hasRanges([...portMapEntries(listing).values()].flat(), hook)
  const rules = listing.chains.get(gateOf(hook))?.rules ?? []
  const maps = [portMapOf(hook), ...(withRanges ? [rangeMapOf(hook)] : [])]
  const looksInto = (map: string) =>
    rules.some(({ expr }) => expr.length === 1 && JSON.stringify(expr).includes(`"@${map}"`))
  // Any other rule may let packets by before they come to a lookup.
  return maps.every(looksInto) && rules.every(({ expr }) => JSON.stringify(expr).includes('"vmap"'))
}

/**
 * Takes the hook's gate away, and its maps with all that is in them. Their elements must not be deleted as well: where
 * both are undone, as after a mere check, Linux 6.1 counts the chains behind them twice and never lets them go again.
 */
export function dropGate(hook: Hook, listing: Listing): Command[] {
  if (!listing.chains.has(gateOf(hook))) return []
  return [
    j.flushChain(gateOf(hook)),
    j.deleteChain(gateOf(hook)),
    ...[portMapOf(hook), rangeMapOf(hook)].filter(map => listing.maps.has(map)).map(j.deleteMap),
  ]
}

const mapOf = ({ hook, ports }: PortKey) => (isRange(ports) ? rangeMapOf(hook) : portMapOf(hook))

function element({ protocol, ports }: PortKey, chain: string): Json {
  const { first, last } = ports
  return [j.concat(protocol, isRange(ports) ? { range: [first, last] } : first), j.goto(chain)]
}

export const addPortKey = (place: PortKey, chain: string): Command =>
  j.addElements(mapOf(place), [element(place, chain)])
export const deletePortKey = (place: PortMapEntry): Command =>
  j.deleteElements(mapOf(place), [element(place, place.chain)])

export const hasRanges = (places: readonly PortKey[], hook: Hook): boolean =>
  places.some(place => place.hook === hook && isRange(place.ports))
