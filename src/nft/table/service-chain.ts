/**
 * A service in the kernel: its chain, its sets, and its keys in the map that leads there.
 *
 *     protocol . port in map "services-input" ──> chain pk-NAME
 *       [interface]  comes in by another one             return
 *       [prerouting] to be routed onward                 chain onward
 *       [syn]        TCP with ACK or RST                 return
 *       [allow]      source in @pk-NAME.allow-4          accept    prefixes that are always allowed
 *       source in @pk-NAME-4                             accept    granted by a knock, for a time
 *       source in @pk-NAME.add-4                         accept    granted by hand
 *       [fail-open]  nothing in @alive                   accept    no daemon listens for knocks
 *       [log]                                            log
 *                                                        drop | reject | accept
 *
 * Grants by hand have a set of their own, because a knock's refresh restarts the remaining time of its element,
 * and would shorten what an administrator gave for longer.
 */
import type { IpFamily } from '../../net/index.js'
import { ipFamilies, protocolNumbers, splitPrefix } from '../../net/index.js'
import * as j from '../nft-json.js'
import type { Command, Expression } from '../nft-json.js'
import type { Listing } from '../listing.js'
import { aliveSet, aliveSetDefinition } from './daemon-alive.js'
import { comesInElsewhere, interfaceComment, leaveOnward } from './incoming-interface.js'
import { encodeSpec } from './service-comment.js'
import { allowedBy, setNames, setNamesOf, setOf, setsOf } from './service-sets.js'
import type { LogRule, ServiceSpec } from './service-spec.js'
import { serviceChain, grantPrefix } from './service-spec.js'

/** How long a single-use connection may repeat its SYN (RFC 6298: after 1, 3, 7, 15 and 31 s), or may be silent. */
const synRepeatSeconds = 35
const idleSeconds = 180
/** How long no other packet can take the grant of a source: longer than it takes to delete it. */
const takenSeconds = 1

const connectedComment = 'of a connection'
const onwardComment = 'routed onward'

function rulesOf(spec: ServiceSpec): { expr: Expression[]; comment: string }[] {
  // What carries neither flag gets another answer from a port where a program listens than from one where none does: SYN,
  // and FIN, NULL and Xmas, by which scanners find out.
  const ofConnection = j.match(j.and(j.field('tcp', 'flags'), { '|': ['ack', 'rst'] }), '!=', 0)
  return [
    ...(spec.interfaces.length > 0
      ? [{ expr: [comesInElsewhere(spec.interfaces), j.return_()], comment: interfaceComment }]
      : []),
    ...(spec.hook === 'prerouting' ? [{ expr: [...leaveOnward], comment: onwardComment }] : []),
    ...(spec.syn ? [{ expr: [ofConnection, j.return_()], comment: connectedComment }] : []),
    ...ipFamilies
      .filter(version => allowedBy(spec, version).length > 0)
      .map(version => ({
        expr: [j.inSet(j.source(version), setOf(spec.name, 'allow', version)), j.counter(), j.accept()],
        comment: 'always allowed',
      })),
    ...ipFamilies.flatMap(version => grantRules(spec, version)),
    ...(spec.failOpen
      ? [{ expr: [noDaemonListens, j.counter(), j.accept()], comment: 'nobody listens for knocks' }]
      : []),
    ...(spec.log ? [{ expr: logStatement(spec.log), comment: 'log' }] : []),
    ...closingRules(spec),
  ]
}

const noDaemonListens = j.match(j.meta('l4proto'), '!=', `@${aliveSet}`)

function grantRules(spec: ServiceSpec, version: IpFamily): { expr: Expression[]; comment: string }[] {
  const source = j.source(version, grantPrefix(spec, version))
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
      // Two processors can both find the grant before one has deleted it. To be the first in this set is one step.
      const take = j.addToSet(setOf(spec.name, `${role}-taken`, version), source, takenSeconds, [once])
      return {
        expr: [j.inSet(source, set), take, remember, j.deleteFromSet(set, source), ...pass],
        comment: role === 'knock' ? 'granted by knock, once' : 'granted by hand, once',
      }
    }),
  ]
}

/** Kept with an element of a set: matches one packet, and none after it for a week. */
const once = j.limit({ count: 1, unit: 'week' }, 1)

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
  const chain = serviceChain(spec.name)
  const wanted = setNamesOf(spec)
  return [
    // A set that is there may have gained a flag from the rules that use it, or another size from an earlier release,
    // and adding it once more would be refused for the difference.
    ...[...setsOf(spec), ...(spec.failOpen ? [aliveSetDefinition] : [])]
      .filter(({ name }) => !listing.sets.has(name))
      .map(j.addSet),
    ...ipFamilies.flatMap(version => allowed(spec, version)),
    j.addChain(chain),
    j.flushChain(chain),
    // A set that a rule of another program looks into cannot be deleted.
    ...setNames(spec.name)
      .filter(name => listing.sets.has(name) && !wanted.includes(name))
      .map(name => (isUsedBeside(chain, name, listing) ? j.flushSet(name) : j.deleteSet(name))),
    ...rulesOf(spec).map(({ expr, comment }) => j.addRule(chain, expr, comment)),
  ]
}

/** The commands that take chain and sets away; nothing may lead to the chain any more. */
export function dropChain(service: string, listing: Listing): Command[] {
  const chain = serviceChain(service)
  return [
    ...rulesThatName(setNames(service), listing),
    ...(listing.chains.has(chain) ? [j.flushChain(chain), j.deleteChain(chain)] : []),
    ...setNames(service)
      .filter(set => listing.sets.has(set))
      .map(j.deleteSet),
  ]
}

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
    const { address, length } = splitPrefix(prefix)
    return { prefix: { addr: address, len: length } }
  })
  return elements.length > 0 ? [j.flushSet(set), j.addElements(set, elements)] : []
}

/** The comments of the rules that a sound chain has, in their order; a chain that differs was edited by someone. */
export const commentsOf = (spec: ServiceSpec): string[] => rulesOf(spec).map(rule => rule.comment)

/** The same, of the version before, whose rules another has to replace. */
export const earlierCommentsOf = (spec: ServiceSpec): string[] =>
  commentsOf(spec).map(comment => earlierComments[comment] ?? comment)

const earlierComments: Readonly<Record<string, string>> = {
  [connectedComment]: 'already connected',
  [onwardComment]: 'not for this machine',
}
