/**
 * A service as the kernel guards it: its chain, its sets, and its places in the map that leads there.
 *
 *     protocol . port in map "services-input" ──> chain pk-NAME
 *       [prerouting] not addressed to this machine       return
 *       [syn]        not the start of a connection       return
 *       source in @pk-NAME.allow-4                       accept    prefixes that may always in
 *       source in @pk-NAME-4                             accept    granted by a knock, for a time
 *       source in @pk-NAME.add-4                         accept    granted by hand
 *       [log]                                            log
 *                                                        drop | reject | accept
 *
 * Grants by hand have a set of their own, because a knock's refresh sets the remaining time of its element anew,
 * and would shorten what an administrator gave for longer.
 */
import * as j from './json.js'
import type { Command, Expression, Hook, IpFamily, Json, Rate } from './json.js'
import type { Listing } from './listing.js'
import { asArray, asObject } from './listing.js'

export const protocols = ['tcp', 'udp', 'sctp', 'any'] as const
export type Protocol = (typeof protocols)[number]

export const closings = ['drop', 'reset', 'icmp', 'accept'] as const
/** What meets a source without a grant; `accept` only watches. */
export type Closing = (typeof closings)[number]

export interface PortRange {
  readonly first: number
  readonly last: number
}

export interface LogRule {
  readonly prefix: string
  readonly level: string
  readonly rate: Rate | null
  readonly burst: number
}

export interface ServiceSpec {
  readonly name: string
  readonly protocol: Protocol
  /** In ascending order, without overlap. */
  readonly ports: readonly PortRange[]
  /** Judge only packets that start a TCP connection. */
  readonly syn: boolean
  readonly closing: Closing
  /** Seconds a grant by knock lasts where the credential names none. */
  readonly window: number
  /** A grant is used up by the first connection. */
  readonly singleUse: boolean
  /** Prefixes in CIDR notation that are always let in. */
  readonly allow: readonly string[]
  /** How many leading bits of a source are granted together. */
  readonly prefix4: number
  readonly prefix6: number
  readonly hook: Hook
  readonly log: LogRule | null
}

export const defaultWindowSeconds = 60

/** Letters, digits, - and _; what a name of a chain can hold and a shell leaves alone. */
export const serviceNamePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/

/** After the packet path's own chains (see queueing.ts), before Debian's and everyone's filter chains at 0. */
const gatePriority = -140
const setSize = 1_048_576
const collectEverySeconds = 10
/** How long after its last new packet a single-use connection may still repeat its first one. */
const singleUseRepeatSeconds = 60

export const chainOf = (service: string): string => `pk-${service}`

/** The sets of a service. `knock` is filled by the packet path, `add` and `allow` by commands. */
export type SetRole = 'knock' | 'add' | 'allow' | 'used'

export function setOf(service: string, role: SetRole, version: IpFamily): string {
  return role === 'knock' ? `pk-${service}-${version}` : `pk-${service}.${role}-${version}`
}

const versions = [4, 6] as const
const addressType = (version: IpFamily) => (version === 4 ? 'ipv4_addr' : 'ipv6_addr')

export const hooks = ['input', 'prerouting'] as const
const gateOf = (hook: Hook) => `gate-${hook}`
const portMapOf = (hook: Hook) => `services-${hook}`
const rangeMapOf = (hook: Hook) => `ranges-${hook}`

/** The prefix bits that a grant for this address family covers. */
export const prefixOf = (spec: ServiceSpec, version: IpFamily): number => (version === 4 ? spec.prefix4 : spec.prefix6)

/** Every set that the service has, in an order in which they can be made. */
function setsOf(spec: ServiceSpec): j.SetDefinition[] {
  const timed = { flags: ['timeout'], size: setSize, gcInterval: collectEverySeconds }
  return versions.flatMap(version => {
    const name = (role: SetRole) => setOf(spec.name, role, version)
    const type = addressType(version)
    return [
      { name: name('knock'), type, ...timed },
      { name: name('add'), type, ...timed },
      { name: name('allow'), type, flags: ['interval'] },
      { name: name('used'), type: [type, 'inet_service'], ...timed },
    ]
  })
}

/**
 * The base chain and the maps of a hook. Flushing and filling the chain anew in the same transaction makes this safe to
 * repeat, and lets the lookup of port ranges, which costs more, exist only where somebody guards a range.
 */
function gate(hook: Hook, withRanges: boolean): Command[] {
  const key = j.concat(j.meta('l4proto'), j.field('th', 'dport'))
  const type = ['inet_proto', 'inet_service']
  return [
    j.addVerdictMap({ name: portMapOf(hook), type }),
    j.addVerdictMap({ name: rangeMapOf(hook), type, flags: ['interval'] }),
    j.addBaseChain(gateOf(hook), hook, gatePriority),
    j.flushChain(gateOf(hook)),
    j.addRule(gateOf(hook), [j.vmap(key, portMapOf(hook))]),
    ...(withRanges ? [j.addRule(gateOf(hook), [j.vmap(key, rangeMapOf(hook))])] : []),
  ]
}

/** Protocols with ports, as IANA numbers: nft knows their names only where /etc/protocols is installed. */
const protocolNumbers = { tcp: 6, udp: 17, dccp: 33, sctp: 132, udplite: 136 } as const

/** One key of the maps that lead to services: a protocol number, and a port or a range of them. */
export interface Place {
  readonly hook: Hook
  readonly protocol: number
  readonly ports: PortRange
}

/** Where the maps must lead to the service's chain. */
function placesOf(spec: ServiceSpec): Place[] {
  const { tcp, udp, sctp } = protocolNumbers
  const numbers = spec.protocol === 'any' ? Object.values(protocolNumbers) : [{ tcp, udp, sctp }[spec.protocol]]
  return numbers.flatMap(protocol => spec.ports.map(ports => ({ hook: spec.hook, protocol, ports })))
}

const isRange = ({ first, last }: PortRange) => first !== last
const mapOf = ({ hook, ports }: Place) => (isRange(ports) ? rangeMapOf(hook) : portMapOf(hook))

/** The element of the place's map that leads to the chain. */
function placeElement({ protocol, ports }: Place, chain: string): Json {
  const { first, last } = ports
  return [j.concat(protocol, isRange(ports) ? { range: [first, last] } : first), j.goto(chain)]
}

/** The places that lead to the service's chain in the kernel, in ascending order. */
export function placesIn(listing: Listing, hook: Hook): (Place & { readonly chain: string })[] {
  return [portMapOf(hook), rangeMapOf(hook)]
    .flatMap(map => listing.maps.get(map)?.elements ?? [])
    .flatMap(({ value, target }) => {
      const [protocol, ports] = asArray(asObject(value)['concat'])
      const [first, last] = asArray(asObject(ports)['range'] ?? ports).map(Number)
      if (protocol === undefined || first === undefined || target === undefined) return []
      return [{ hook, protocol: protocolNumber(protocol), ports: { first, last: last ?? first }, chain: target }]
    })
    .sort((a, b) => a.protocol - b.protocol || a.ports.first - b.ports.first)
}

function protocolNumber(listed: Json): number {
  return typeof listed === 'string' && listed in protocolNumbers
    ? protocolNumbers[listed as keyof typeof protocolNumbers]
    : Number(listed)
}

function rulesOf(spec: ServiceSpec): { expr: Expression[]; comment: string }[] {
  const synOnly = j.match(j.and(j.field('tcp', 'flags'), { '|': ['syn', 'ack'] }), '!=', 'syn')
  const elsewhere = j.match({ fib: { result: 'type', flags: ['daddr'] } }, '!=', 'local')
  return [
    ...(spec.hook === 'prerouting' ? [{ expr: [elsewhere, j.return_()], comment: 'not for this machine' }] : []),
    ...(spec.syn ? [{ expr: [synOnly, j.return_()], comment: 'already connected' }] : []),
    ...versions.map(version => ({
      expr: [j.inSet(j.source(version), setOf(spec.name, 'allow', version)), j.counter(), j.accept()],
      comment: 'always allowed',
    })),
    ...versions.flatMap(version => grantRules(spec, version)),
    ...(spec.log ? [{ expr: logStatement(spec.log), comment: 'log' }] : []),
    ...closingRules(spec),
  ]
}

function grantRules(spec: ServiceSpec, version: IpFamily): { expr: Expression[]; comment: string }[] {
  const source = j.source(version, prefixOf(spec, version))
  const pass = [j.counter(), j.accept()]
  if (!spec.singleUse) {
    return (['knock', 'add'] as const).map(role => ({
      expr: [j.inSet(source, setOf(spec.name, role, version)), ...pass],
      comment: role === 'knock' ? 'granted by knock' : 'granted by hand',
    }))
  }
  // The first packet of a connection may have to be repeated; it is known again by its source port.
  const used = setOf(spec.name, 'used', version)
  const connection = j.concat(j.source(version), j.field('th', 'sport'))
  const remember = j.updateSet(used, connection, singleUseRepeatSeconds)
  return [
    { expr: [j.inSet(connection, used), remember, ...pass], comment: 'the connection let in' },
    ...(['knock', 'add'] as const).map(role => {
      const set = setOf(spec.name, role, version)
      return {
        expr: [j.inSet(source, set), j.deleteFromSet(set, source), remember, ...pass],
        comment: role === 'knock' ? 'granted by knock, once' : 'granted by hand, once',
      }
    }),
  ]
}

function logStatement(log: LogRule): Expression[] {
  const statement = { log: { ...(log.prefix === '' ? {} : { prefix: log.prefix }), level: log.level } }
  return [...(log.rate ? [j.limit(log.rate, log.burst)] : []), statement]
}

function closingRules(spec: ServiceSpec): { expr: Expression[]; comment: string }[] {
  const isTcp = j.match(j.meta('l4proto'), '==', protocolNumbers.tcp)
  const unreachable = { reject: { type: 'icmpx', expr: 'port-unreachable' } }
  const comment = encodeSpec(spec)
  const last = (...expr: Expression[]) => ({ expr: [j.counter(), ...expr], comment })
  switch (spec.closing) {
    case 'drop':
      return [last(j.drop())]
    case 'accept':
      return [last(j.accept())]
    case 'icmp':
      return [last(unreachable)]
    case 'reset': {
      // Only TCP can be reset; what else comes to the port gets the ICMP message.
      const reset = { expr: [isTcp, j.counter(), { reject: { type: 'tcp reset' } }], comment: 'refused' }
      return [reset, last(unreachable)]
    }
  }
}

/**
 * The commands that make these services as their specs say, whatever of them is there already; grants and the services
 * that are not named stay as they are.
 */
export function buildServices(specs: readonly ServiceSpec[], listing: Listing): Command[] {
  const wanted = specs.flatMap(placesOf)
  const named = new Set(specs.map(spec => chainOf(spec.name)))
  const staying = hooks.flatMap(hook => placesIn(listing, hook)).filter(place => !named.has(place.chain))
  const ranges = new Set([...wanted, ...staying].filter(place => isRange(place.ports)).map(place => place.hook))
  const touched = hooks.filter(hook => specs.some(spec => spec.hook === hook))
  if (specs.length === 0) return []
  return [
    j.addTable(),
    ...touched.flatMap(hook => gate(hook, ranges.has(hook))),
    ...specs.flatMap(spec => buildChain(spec, listing)),
    // All places are left before any is taken, so that services can exchange their ports.
    ...specs.flatMap(spec => leavePlaces(chainOf(spec.name), listing, placesOf(spec))),
    ...specs.flatMap(spec =>
      placesOf(spec).map(place => j.addElements(mapOf(place), [placeElement(place, chainOf(spec.name))])),
    ),
  ]
}

function buildChain(spec: ServiceSpec, listing: Listing): Command[] {
  const chain = chainOf(spec.name)
  return [
    // A set that is there may have gained a flag from the rules that use it, or another size from an earlier release,
    // and adding it once more would be refused for the difference.
    ...setsOf(spec)
      .filter(({ name }) => !listing.sets.has(name))
      .map(j.addSet),
    ...versions.flatMap(version => allowed(spec, version)),
    j.addChain(chain),
    j.flushChain(chain),
    ...rulesOf(spec).map(({ expr, comment }) => j.addRule(chain, expr, comment)),
  ]
}

function allowed(spec: ServiceSpec, version: IpFamily): Command[] {
  const set = setOf(spec.name, 'allow', version)
  const mine = spec.allow.filter(prefix => prefix.includes(':') === (version === 6))
  const elements = mine.map(prefix => {
    const [addr, len] = prefix.split('/')
    return { prefix: { addr: addr ?? '', len: Number(len ?? (version === 4 ? 32 : 128)) } }
  })
  return [j.flushSet(set), ...(elements.length > 0 ? [j.addElements(set, elements)] : [])]
}

const othersIn = (listing: Listing, hook: Hook, chain: string) =>
  placesIn(listing, hook).filter(place => place.chain !== chain)

/** Takes the chain out of all maps, except from the places where it is about to be put again. */
function leavePlaces(chain: string, listing: Listing, stay: readonly Place[] = []): Command[] {
  const staying = new Set(stay.map(placeId))
  return hooks
    .flatMap(hook => placesIn(listing, hook))
    .filter(place => place.chain === chain && !staying.has(placeId(place)))
    .map(place => j.deleteElements(mapOf(place), [placeElement(place, chain)]))
}

const placeId = ({ hook, protocol, ports }: Place) => `${hook} ${protocol} ${ports.first}-${ports.last}`

/** The commands that take the service away whole, and with the last one of a hook that hook's gate. */
export function removeService(service: string, listing: Listing): Command[] {
  const chain = chainOf(service)
  const roles: readonly SetRole[] = ['knock', 'add', 'allow', 'used']
  const sets = versions.flatMap(version => roles.map(role => setOf(service, role, version)))
  const gone = hooks.filter(hook => listing.chains.has(gateOf(hook)) && othersIn(listing, hook, chain).length === 0)
  return [
    ...leavePlaces(chain, listing),
    ...gone.flatMap(hook => [
      j.flushChain(gateOf(hook)),
      j.deleteChain(gateOf(hook)),
      j.deleteMap(portMapOf(hook)),
      j.deleteMap(rangeMapOf(hook)),
    ]),
    ...rulesThatName(sets, listing),
    ...(listing.chains.has(chain) ? [j.flushChain(chain), j.deleteChain(chain)] : []),
    ...sets.filter(set => listing.sets.has(set)).map(j.deleteSet),
    ...(nothingElse(listing, chain, sets, gone) ? [j.deleteTable()] : []),
  ]
}

/** Rules of chains that are not the service's own, such as those in which the packet path grants. */
function rulesThatName(sets: readonly string[], listing: Listing): Command[] {
  const names = new Set(sets.map(set => `"@${set}"`))
  return [...listing.chains.values()].flatMap(chain =>
    chain.rules
      .filter(rule => chain.name.startsWith('grant-') && mentions(JSON.stringify(rule.expr), names))
      .map(rule => j.deleteRule(chain.name, rule.handle)),
  )
}

const mentions = (text: string, names: ReadonlySet<string>) => [...names].some(name => text.includes(name))

function nothingElse(listing: Listing, chain: string, sets: readonly string[], gone: readonly Hook[]): boolean {
  const chains = new Set([chain, ...gone.map(gateOf)])
  const maps = new Set(gone.flatMap(hook => [portMapOf(hook), rangeMapOf(hook)]))
  return (
    listing.present &&
    [...listing.chains.keys()].every(name => chains.has(name)) &&
    [...listing.sets.keys()].every(name => sets.includes(name)) &&
    [...listing.maps.keys()].every(name => maps.has(name))
  )
}

// The comment of a chain's last rule says what cannot be seen from the rules alone without guessing: pkctl writes it
// and reads it back, so that the kernel is the only place where a service is kept.

const specPattern = /^pkctl (\w+) (\w+) (syn|all) (once|many) window=(\d+) prefix=(\d+)\/(\d+)$/

function encodeSpec(spec: ServiceSpec): string {
  const { protocol, closing, syn, singleUse, window, prefix4, prefix6 } = spec
  return `pkctl ${protocol} ${closing} ${syn ? 'syn' : 'all'} ${singleUse ? 'once' : 'many'} window=${window} prefix=${prefix4}/${prefix6}`
}

/** What the comment of a chain's last rule says of the service; undefined when it is not one of ours. */
export function decodeSpec(comment: string | undefined) {
  const [, protocol, closing, syn, uses, window, prefix4, prefix6] = specPattern.exec(comment ?? '') ?? []
  if (!isOneOf(protocols, protocol) || !isOneOf(closings, closing)) return undefined
  return {
    protocol,
    closing,
    syn: syn === 'syn',
    singleUse: uses === 'once',
    window: Number(window),
    prefix4: Number(prefix4),
    prefix6: Number(prefix6),
  }
}

function isOneOf<T extends string>(values: readonly T[], value: string | undefined): value is T {
  return (values as readonly (string | undefined)[]).includes(value)
}

/** The comments of the rules that a sound chain has, in their order; a chain that differs was edited by someone. */
export const commentsOf = (spec: ServiceSpec): string[] => rulesOf(spec).map(rule => rule.comment)
