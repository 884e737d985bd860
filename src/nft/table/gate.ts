/**
 * Where services hang: one base chain for each hook, the *gate*, and verdict maps that lead from protocol and port
 * to the chain of a service. On the hook of the packet path, its first rule is that path's: it acts on answers to queued
 * packets (see grant-chain.ts). Changes of services leave that rule as it is, and changes of the packet path the others.
 * However many services there are, a packet costs one lookup, and one more for each protocol
 * of which a range of ports is guarded: a map of ranges has another structure. Ranges have a map for each protocol,
 * because nft 1.0.6 converts a protocol number in the key of an interval map in a way that Linux 7.2 refuses.
 */
import type { PortRange } from '../../net/index.js'
import { protocolNumbers } from '../../net/index.js'
import * as j from '../nft-json.js'
import type { Command, Hook, Json } from '../nft-json.js'
import type { ListedChain, ListedRule, Listing } from '../listing.js'
import { asArray, asObject } from '../listing.js'
import { isOnwardSound } from './incoming-interface.js'
import type { ServiceSpec } from './service-spec.js'

export const hooks = ['input', 'prerouting'] as const

/** Whether a map leads to services. */
export const isPortMap = (map: string): boolean => /^(services|ranges)-/.test(map)

/** Right after the queue (see knock-chain.ts), before everyone's filter chains at 0. */
export const gatePriority = -148

export const gateOf = (hook: Hook): string => `gate-${hook}`
/** How a listing describes the gate's base chain. */
export const gateBase = (hook: Hook): string => `filter ${hook} ${gatePriority} accept`
/** The chain of the packet path to which the gate sends answers. */
export const answerChain = 'answer'
const portMapOf = (hook: Hook) => `services-${hook}`
const rangeMapOf = (hook: Hook, protocol: number) => `ranges-${nameOf.get(protocol) ?? protocol}-${hook}`
/** The map of all ranges of a hook, keyed by protocol and ports, as earlier versions made it. It is read, and deleted by the next change. */
const oldRangeMapOf = (hook: Hook) => `ranges-${hook}`

/** Names for the maps of ranges. */
const nameOf: ReadonlyMap<number, string> = new Map(
  Object.entries(protocolNumbers).map(([name, number]) => [number, name]),
)

/** One key of the maps: a protocol number, and a port or a range of them. */
export interface PortKey {
  readonly hook: Hook
  readonly protocol: number
  readonly ports: PortRange
}

/** A key in a map of the kernel, and the chain to which it leads. */
export interface PortMapEntry extends PortKey {
  readonly chain: string
  /** The map in which it was found. */
  readonly map: string
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
  sharePorts(outer, inner) && outer.ports.first <= inner.ports.first && inner.ports.last <= outer.ports.last

export const sharePorts = (a: PortKey, b: PortKey): boolean =>
  a.hook === b.hook && a.protocol === b.protocol && a.ports.first <= b.ports.last && b.ports.first <= a.ports.last

const read = new WeakMap<Listing, ReadonlyMap<string, readonly PortMapEntry[]>>()

/** The entries of the maps in the kernel, by the chain to which they lead; in ascending order. */
export function portMapEntries(listing: Listing): ReadonlyMap<string, readonly PortMapEntry[]> {
  let entries = read.get(listing)
  if (!entries) {
    const byChain = new Map<string, PortMapEntry[]>()
    for (const key of readEntries(listing)) byChain.set(key.chain, [...(byChain.get(key.chain) ?? []), key])
    read.set(listing, (entries = byChain))
  }
  return entries
}

function readEntries(listing: Listing): PortMapEntry[] {
  return hooks
    .flatMap(hook => [
      ...[portMapOf(hook), oldRangeMapOf(hook)].flatMap(map =>
        elementsOf(map, listing).flatMap(({ value, chain }) => {
          const [protocol, ports] = asArray(asObject(value)['concat'])
          return entryOf(hook, protocol === undefined ? NaN : protocolNumber(protocol), ports, chain, map)
        }),
      ),
      ...Object.values(protocolNumbers).flatMap(protocol => {
        const map = rangeMapOf(hook, protocol)
        return elementsOf(map, listing).flatMap(({ value, chain }) => entryOf(hook, protocol, value, chain, map))
      }),
    ])
    .sort((a, b) => a.protocol - b.protocol || a.ports.first - b.ports.first)
}

const elementsOf = (map: string, listing: Listing) =>
  (listing.maps.get(map)?.elements ?? []).flatMap(({ value, target: chain }) =>
    chain === undefined ? [] : [{ value, chain }],
  )

function entryOf(hook: Hook, protocol: number, ports: Json | undefined, chain: string, map: string): PortMapEntry[] {
  if (ports === undefined) return []
  const [first, last = first] = asArray(asObject(ports)['range'] ?? [ports]).map(Number)
  return first === undefined || last === undefined ? [] : [{ hook, protocol, ports: { first, last }, chain, map }]
}

function protocolNumber(listed: Json): number {
  return typeof listed === 'string' && listed in protocolNumbers
    ? protocolNumbers[listed as keyof typeof protocolNumbers]
    : Number(listed)
}

/** The commands that make the hook's gate, whatever of it is there, with maps for the ranges of these protocols. */
export function buildGate(hook: Hook, ranged: readonly number[], listing: Listing): Command[] {
  const old = oldRangeMapOf(hook)
  return [
    j.addVerdictMap({ name: portMapOf(hook), type: ['inet_proto', 'inet_service'] }),
    // They stay until the gate is deleted: emptied and deleted in one transaction they would fall into the trap that
    // is described at dropGate.
    ...ranged.map(protocol =>
      j.addVerdictMap({ name: rangeMapOf(hook, protocol), type: 'inet_service', flags: ['interval'] }),
    ),
    ...emptyGate(hook, listing),
    // With its elements, see dropGate: the other maps have them.
    ...(listing.maps.has(old) ? [j.deleteMap(old)] : []),
    ...lookups(hook, ranged).map(expr => j.addRule(gateOf(hook), expr)),
  ]
}

/** The commands that make the gate's chain without lookups. One of an earlier version has another priority: it is replaced. */
function emptyGate(hook: Hook, listing: Listing): Command[] {
  const gate = listing.chains.get(gateOf(hook))
  return [
    ...(isOutdated(hook, listing) ? [j.flushChain(gateOf(hook)), j.deleteChain(gateOf(hook))] : []),
    addGate(hook),
    ...(isOutdated(hook, listing) ? [] : lookupRules(gate).map(({ handle }) => j.deleteRule(gateOf(hook), handle))),
  ]
}

export const addGate = (hook: Hook): Command => j.addBaseChain(gateOf(hook), hook, gatePriority)

/** Whether an earlier version made the gate, or another program changed it so that it cannot stay. */
export function isOutdated(hook: Hook, listing: Listing): boolean {
  const gate = listing.chains.get(gateOf(hook))
  return gate !== undefined && gate.base !== gateBase(hook)
}

/** Whether this rule of a gate sends answers to the packet path. */
export const isAnswerRule = ({ expr }: ListedRule): boolean =>
  asObject(asObject(expr.at(-1))['jump'])['target'] === answerChain

/** The rules of a gate that changes of services make. */
export const lookupRules = (gate: ListedChain | undefined): ListedRule[] =>
  (gate?.rules ?? []).filter(rule => !isAnswerRule(rule))

const destinationPort = j.field('th', 'dport')

function lookups(hook: Hook, ranged: readonly number[]): Json[][] {
  return [
    [j.vmap(j.concat(j.meta('l4proto'), destinationPort), portMapOf(hook))],
    ...ranged.map(protocol => [
      j.match(j.meta('l4proto'), '==', protocol),
      j.vmap(destinationPort, rangeMapOf(hook, protocol)),
    ]),
  ]
}

/** Whether the hook's gate looks into the maps that it must, so that no service is bypassed. */
export function gateIsSound(hook: Hook, listing: Listing): boolean {
  const entries = [...portMapEntries(listing).values()].flat()
  const rules = lookupRules(listing.chains.get(gateOf(hook)))
  return (
    !isOutdated(hook, listing) &&
    (hook === 'input' || isOnwardSound(listing)) &&
    !entries.some(key => key.hook === hook && isOld(key)) &&
    rules.some(({ expr }) => expr.length === 1 && looksInto(portMapOf(hook), expr[0])) &&
    rangedProtocols(entries, hook).every(protocol =>
      rules.some(
        ({ expr }) =>
          looksInto(rangeMapOf(hook, protocol), expr.at(-1)) && expr.slice(0, -1).every(one => matches(protocol, one)),
      ),
    ) &&
    // Any other rule may let packets by before they come to a lookup.
    rules.every(({ expr }) => JSON.stringify(expr).includes('"vmap"'))
  )
}

const looksInto = (map: string, statement: Json | undefined) =>
  asObject(asObject(statement)['vmap'])['data'] === `@${map}`

/** Whether the statement does no more than match the protocol. Where the key names the protocol, nft leaves it out. */
function matches(protocol: number, statement: Json): boolean {
  const { op, left, right } = asObject(asObject(statement)['match'])
  return (
    op === '==' &&
    asObject(asObject(left)['meta'])['key'] === 'l4proto' &&
    right !== undefined &&
    protocolNumber(right) === protocol
  )
}

/**
 * Deletes the gate of the hook, unless the packet path needs it, and its maps with all that is in them. Their elements must not be deleted as well: where
 * both are undone, as after a mere check, Linux 6.1 counts the chains behind them twice and never lets them go again.
 */
export function dropGate(hook: Hook, listing: Listing): Command[] {
  const gate = listing.chains.get(gateOf(hook))
  if (!gate) return []
  const stays = gate.rules.some(isAnswerRule) && !isOutdated(hook, listing)
  return [
    ...(stays
      ? lookupRules(gate).map(({ handle }) => j.deleteRule(gateOf(hook), handle))
      : [j.flushChain(gateOf(hook)), j.deleteChain(gateOf(hook))]),
    ...[portMapOf(hook), oldRangeMapOf(hook), ...Object.values(protocolNumbers).map(one => rangeMapOf(hook, one))]
      .filter(map => listing.maps.has(map))
      .map(j.deleteMap),
  ]
}

const mapOf = ({ hook, protocol, ports }: PortKey) => (isRange(ports) ? rangeMapOf(hook, protocol) : portMapOf(hook))

function element({ hook, protocol, ports }: PortKey, map: string, chain: string): Json {
  const { first, last } = ports
  const value = isRange(ports) ? { range: [first, last] } : first
  const withProtocol = map === portMapOf(hook) || map === oldRangeMapOf(hook)
  return [withProtocol ? j.concat(protocol, value) : value, j.goto(chain)]
}

export function addPortKey(key: PortKey, chain: string): Command {
  const map = mapOf(key)
  return j.addElements(map, [element(key, map, chain)])
}

export const deletePortKey = (key: PortMapEntry): Command =>
  j.deleteElements(key.map, [element(key, key.map, key.chain)])

/** Whether it is in the map that the next change of the gate deletes. */
export const isOld = ({ hook, map }: PortMapEntry): boolean => map === oldRangeMapOf(hook)

/** The protocols of which ranges are guarded. */
export const rangedProtocols = (entries: readonly PortKey[], hook: Hook): number[] =>
  Object.values(protocolNumbers).filter(protocol =>
    entries.some(key => key.hook === hook && key.protocol === protocol && isRange(key.ports)),
  )
