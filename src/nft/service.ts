/**
 * A service as the kernel guards it: its chain, its sets, and its places in the map that leads there.
 *
 *     protocol . port in map "services-input" ──> chain pk-NAME
 *       [prerouting] to be routed onward                 return
 *       [syn]        not the start of a connection       return
 *       [allow]      source in @pk-NAME.allow-4          accept    prefixes that may always in
 *       source in @pk-NAME-4                             accept    granted by a knock, for a time
 *       source in @pk-NAME.add-4                         accept    granted by hand
 *       [fail-open]  nothing in @alive                   accept    nobody listens for knocks
 *       [log]                                            log
 *                                                        drop | reject | accept
 *
 * Grants by hand have a set of their own, because a knock's refresh sets the remaining time of its element anew,
 * and would shorten what an administrator gave for longer.
 */
import * as j from './json.js'
import type { Command, Expression, Hook, IpFamily, Rate } from './json.js'
import type { Listing } from './listing.js'
import { protocolNumbers } from './places.js'

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
  /** Everyone is let in while no daemon says that it listens for knocks. */
  readonly failOpen: boolean
  /** Prefixes in CIDR notation that are always let in. */
  readonly allow: readonly string[]
  /** How many leading bits of a source are granted together. */
  readonly prefix4: number
  readonly prefix6: number
  readonly hook: Hook
  readonly log: LogRule | null
}

export const defaultWindowSeconds = 60

const setSize = 1_048_576
const collectEverySeconds = 10
/** How long a single-use connection may repeat its SYN (RFC 6298: after 1, 3, 7, 15 and 31 s), or may be silent. */
const synRepeatSeconds = 35
const idleSeconds = 180

export const chainOf = (service: string): string => `pk-${service}`

/** The sets of a service. `knock` is filled by the packet path, `add` and `allow` by commands. */
export type SetRole = 'knock' | 'add' | 'allow' | 'used'

export function setOf(service: string, role: SetRole, version: IpFamily): string {
  return role === 'knock' ? `pk-${service}-${version}` : `pk-${service}.${role}-${version}`
}

/** The protocols of services, while a daemon is there that listens for knocks. */
export const aliveSet = 'alive'

const versions = [4, 6] as const
const addressType = (version: IpFamily) => (version === 4 ? 'ipv4_addr' : 'ipv6_addr')

/** The prefix bits that a grant for this address family covers. */
export const prefixOf = (spec: Pick<ServiceSpec, 'prefix4' | 'prefix6'>, version: IpFamily): number =>
  version === 4 ? spec.prefix4 : spec.prefix6

/** The sets of the service: nothing is kept, looked up or listed that it does not need. */
function setsOf(spec: ServiceSpec): j.SetDefinition[] {
  const timed = { flags: ['timeout'], size: setSize, gcInterval: collectEverySeconds }
  return versions.flatMap(version => {
    const name = (role: SetRole) => setOf(spec.name, role, version)
    const type = addressType(version)
    return [
      { name: name('knock'), type, ...timed },
      { name: name('add'), type, ...timed },
      ...(allowedBy(spec, version).length > 0 ? [{ name: name('allow'), type, flags: ['interval'] }] : []),
      ...(spec.singleUse ? [{ name: name('used'), type: [type, 'inet_service', 'inet_service'], ...timed }] : []),
    ]
  })
}

/** The names of the sets that a sound service has. */
export const setNamesOf = (spec: ServiceSpec): string[] => setsOf(spec).map(({ name }) => name)

const allowedBy = (spec: ServiceSpec, version: IpFamily) =>
  spec.allow.filter(prefix => prefix.includes(':') === (version === 6))

const aliveSetDefinition: j.SetDefinition = { name: aliveSet, type: 'inet_proto', flags: ['timeout'] }

/** How long services with fail-open stay closed after a daemon that is gone. */
const aliveSeconds = 15

/** The commands by which a daemon says that it is there, for `aliveSeconds`. */
export function sayAlive(): Command[] {
  const elements = Object.values(protocolNumbers)
  const timed = elements.map(val => ({ elem: { val, timeout: aliveSeconds } }))
  // An element that is there keeps its time when it is added; and what is not there cannot be deleted.
  return [j.addElements(aliveSet, timed), j.deleteElements(aliveSet, elements), j.addElements(aliveSet, timed)]
}

function rulesOf(spec: ServiceSpec): { expr: Expression[]; comment: string }[] {
  const synOnly = j.match(j.and(j.field('tcp', 'flags'), { '|': ['syn', 'ack'] }), '!=', 'syn')
  // Broadcast, multicast and anycast reach local services as well; only what is routed onward is not ours to judge.
  const elsewhere = j.match({ fib: { result: 'type', flags: ['daddr'] } }, '==', 'unicast')
  return [
    ...(spec.hook === 'prerouting' ? [{ expr: [elsewhere, j.return_()], comment: 'not for this machine' }] : []),
    ...(spec.syn ? [{ expr: [synOnly, j.return_()], comment: 'already connected' }] : []),
    ...versions
      .filter(version => allowedBy(spec, version).length > 0)
      .map(version => ({
        expr: [j.inSet(j.source(version), setOf(spec.name, 'allow', version)), j.counter(), j.accept()],
        comment: 'always allowed',
      })),
    ...versions.flatMap(version => grantRules(spec, version)),
    ...(spec.failOpen
      ? [{ expr: [nobodyListens, j.counter(), j.accept()], comment: 'nobody listens for knocks' }]
      : []),
    ...(spec.log ? [{ expr: logStatement(spec.log), comment: 'log' }] : []),
    ...closingRules(spec),
  ]
}

const nobodyListens = j.match(j.meta('l4proto'), '!=', `@${aliveSet}`)

function grantRules(spec: ServiceSpec, version: IpFamily): { expr: Expression[]; comment: string }[] {
  const source = j.source(version, prefixOf(spec, version))
  const pass = [j.counter(), j.accept()]
  if (!spec.singleUse) {
    return (['knock', 'add'] as const).map(role => ({
      expr: [j.inSet(source, setOf(spec.name, role, version)), ...pass],
      comment: role === 'knock' ? 'granted by knock' : 'granted by hand',
    }))
  }
  // The first packet of a connection may have to be repeated; it is known again by its ports. Where only first packets
  // are judged, repeating it for ever would be a use for ever: that time is not extended.
  const used = setOf(spec.name, 'used', version)
  const connection = j.concat(j.source(version), j.field('th', 'sport'), j.field('th', 'dport'))
  const remember = spec.syn
    ? j.addToSet(used, connection, synRepeatSeconds)
    : j.updateSet(used, connection, idleSeconds)
  return [
    { expr: [j.inSet(connection, used), ...(spec.syn ? [] : [remember]), ...pass], comment: 'the connection let in' },
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

/** The commands that make the service's chain and sets; the maps do not lead there yet. */
export function buildChain(spec: ServiceSpec, listing: Listing): Command[] {
  const chain = chainOf(spec.name)
  const wanted = setNamesOf(spec)
  return [
    // A set that is there may have gained a flag from the rules that use it, or another size from an earlier release,
    // and adding it once more would be refused for the difference.
    ...[...setsOf(spec), ...(spec.failOpen ? [aliveSetDefinition] : [])]
      .filter(({ name }) => !listing.sets.has(name))
      .map(j.addSet),
    ...versions.flatMap(version => allowed(spec, version)),
    j.addChain(chain),
    j.flushChain(chain),
    // What somebody else's rule looks into cannot be deleted.
    ...setNames(spec.name)
      .filter(name => listing.sets.has(name) && !wanted.includes(name))
      .map(name => (isUsedBeside(chain, name, listing) ? j.flushSet(name) : j.deleteSet(name))),
    ...rulesOf(spec).map(({ expr, comment }) => j.addRule(chain, expr, comment)),
  ]
}

/** The commands that take chain and sets away; nothing may lead to the chain any more. */
export function dropChain(service: string, listing: Listing): Command[] {
  const chain = chainOf(service)
  return [
    ...rulesThatName(setNames(service), listing),
    ...(listing.chains.has(chain) ? [j.flushChain(chain), j.deleteChain(chain)] : []),
    ...setNames(service)
      .filter(set => listing.sets.has(set))
      .map(j.deleteSet),
  ]
}

const roles: readonly SetRole[] = ['knock', 'add', 'allow', 'used']

/** Whatever sets there may be of the service. */
export const setNames = (service: string): string[] =>
  versions.flatMap(version => roles.map(role => setOf(service, role, version)))

/** Rules of chains that are not the service's own: those in which the packet path grants. */
function rulesThatName(sets: readonly string[], listing: Listing): Command[] {
  const names = new Set(sets.map(set => `"@${set}"`))
  return [...listing.chains.values()]
    .filter(chain => chain.name.startsWith('grant-'))
    .flatMap(chain =>
      chain.rules
        .filter(rule => mentions(JSON.stringify(rule.expr), names))
        .map(rule => j.deleteRule(chain.name, rule.handle)),
    )
}

const isUsedBeside = (own: string, set: string, listing: Listing) =>
  [...listing.chains.values()]
    .filter(({ name }) => name !== own)
    .some(({ rules }) => rules.some(({ expr }) => mentions(JSON.stringify(expr), new Set([`"@${set}"`]))))

const mentions = (text: string, names: ReadonlySet<string>) => [...names].some(name => text.includes(name))

function allowed(spec: ServiceSpec, version: IpFamily): Command[] {
  const set = setOf(spec.name, 'allow', version)
  const elements = allowedBy(spec, version).map(prefix => {
    const [addr, len] = prefix.split('/')
    return { prefix: { addr: addr ?? '', len: Number(len ?? (version === 4 ? 32 : 128)) } }
  })
  return elements.length > 0 ? [j.flushSet(set), j.addElements(set, elements)] : []
}

// The comment of a chain's last rule says what cannot be seen from the rules alone without guessing: pkctl writes it
// and reads it back, so that the kernel is the only place where a service is kept.

const specPattern = /^pkctl (\w+) (\w+) (syn|all) (once|many) window=(\d+) prefix=(\d+)\/(\d+)( fail-open)?$/

function encodeSpec(spec: ServiceSpec): string {
  const { protocol, closing, syn, singleUse, failOpen, window, prefix4, prefix6 } = spec
  const uses = singleUse ? 'once' : 'many'
  const end = failOpen ? ' fail-open' : ''
  return `pkctl ${protocol} ${closing} ${syn ? 'syn' : 'all'} ${uses} window=${window} prefix=${prefix4}/${prefix6}${end}`
}

/** What the comment of a chain's last rule says of the service; undefined when it is not one of ours. */
export function decodeSpec(comment: string | undefined) {
  const [, protocol, closing, syn, uses, window, prefix4, prefix6, end] = specPattern.exec(comment ?? '') ?? []
  if (!isOneOf(protocols, protocol) || !isOneOf(closings, closing)) return undefined
  return {
    protocol,
    closing,
    syn: syn === 'syn',
    singleUse: uses === 'once',
    failOpen: end !== undefined,
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
