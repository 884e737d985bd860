/**
 * The packet path's own chains: which packets leave the kernel for user space, and what the answer does.
 *
 *     base chain "knock-HOOK" (-149)   candidates ──> limits ──> source into @pending ──> queue
 *                                      a new connection from a source in @pending ──────> queue
 *     base chain "gate-HOOK"  (-148)   answered packets, by the mark of their verdict: chain grant-N updates sets
 *                                      all others: see gate.ts and service-chain.ts
 *
 * An accepted packet goes on at the next base chain, which is why these are two: the gate is made with the first service
 * or with the packet path, and goes with the last of them. Where the kernel has no nft `queue`, the first chain is at
 * -151, and a rule of iptables-nft at -150 queues by the mark between the two (see iptables-queue.ts); rules of others
 * there may set marks as well. So a mark alone grants nothing: the packet must have the shape of a candidate, and the
 * numbers of actions are drawn at random (see controller/ruleset/mark-allocator.ts). Marks of other packets are left alone.
 */
import type { Command, Hook } from '../nft-json.js'
import * as j from '../nft-json.js'
import type { Listing } from '../listing.js'
import { packetsOf } from '../listing.js'
import { answerChain, gateOf, hooks, isAnswerRule, isOutdated, lookupRules } from './gate.js'
import { grantMap, grantRules } from './grant-chain.js'
import { knockChainOf, knockRules } from './knock-chain.js'
import type { PacketPathSpec } from './packet-path-spec.js'
import { addSourceSets, sourceSetNames } from './pending-and-limits.js'
import { stepSetNames, stepSets } from './sequence-rules.js'
import { periodChains, periodSet } from './periods.js'

/**
 * The commands that make the packet path in place of the one that is there; nothing of services changes. `guarded` are the
 * hooks on which there are services after the transaction.
 */
export function buildPacketPath(spec: PacketPathSpec, listing: Listing, guarded: ReadonlySet<Hook>): Command[] {
  return [
    j.addTable(),
    ...removeFrom(listing, new Set([...guarded, spec.hook])),
    ...addSourceSets(),
    ...(spec.sequencePorts ? stepSets(spec.sequencePorts) : []),
    ...grantRules(spec),
    ...knockRules(spec),
  ]
}

/** The commands that remove the packet path; services and grants stay as they are. */
export const removePacketPath = (listing: Listing): Command[] =>
  removeFrom(listing, new Set(hooks.filter(hook => hasServices(hook, listing))))

/** An earlier version had a base chain of its own for answers. */
const oldGrantChainOf = (hook: Hook) => `grant-${hook}`

const regularChains = new RegExp(
  `^(candidate|excess|admitted|pending|${answerChain}|answered|stepped|step|astray|${periodChains.join('|')}|grant-\\d+|knock-(tcp|udp|rest))$`,
)

/** The gates of the hooks `staying` stay. */
function removeFrom(listing: Listing, staying: ReadonlySet<Hook>): Command[] {
  const bases = hooks
    .flatMap(hook => [knockChainOf(hook), oldGrantChainOf(hook)])
    .filter(name => listing.chains.has(name))
  const regular = [...listing.chains.keys()].filter(name => regularChains.test(name))
  const sets = [...sourceSetNames, ...stepSetNames, periodSet].filter(name => listing.sets.has(name))
  return [
    ...hooks.flatMap(hook => leaveGate(hook, listing, staying.has(hook))),
    ...[...bases, ...regular].map(j.flushChain),
    ...bases.map(j.deleteChain),
    // With its elements, and never those before it: see dropGate in gate.ts.
    ...(listing.maps.has(grantMap) ? [j.deleteMap(grantMap)] : []),
    ...regular.map(j.deleteChain),
    ...sets.map(j.deleteSet),
  ]
}

function leaveGate(hook: Hook, listing: Listing, stays: boolean): Command[] {
  const gate = gateOf(hook)
  const rules = listing.chains.get(gate)?.rules.filter(isAnswerRule) ?? []
  // Changes of services replace a gate of an earlier version, which has no such rule.
  if (rules.length === 0 || isOutdated(hook, listing)) return []
  if (!stays) return [j.flushChain(gate), j.deleteChain(gate)]
  return rules.map(({ handle }) => j.deleteRule(gate, handle))
}

const hasServices = (hook: Hook, listing: Listing) => lookupRules(listing.chains.get(gateOf(hook))).length > 0

/** The commands that let no further packet leave the kernel; answers to those that did still have their effect. */
export function stopQueue(listing: Listing): Command[] {
  return hooks
    .map(knockChainOf)
    .filter(name => listing.chains.has(name))
    .flatMap(name => [j.flushChain(name), j.deleteChain(name)])
}

/** The number of the queue that a packet path in the kernel sends to, if there is one. */
export function queueInUse(listing: Listing): number | undefined {
  const comments = queueRules(listing).map(rule => /^to queue (\d+)$/.exec(rule.comment ?? '')?.[1])
  const number = comments.find(text => text !== undefined)
  return number === undefined ? undefined : Number(number)
}

/** Packets with the shape of a knock that went to the queue, since the packet path was last installed. */
export const queuedPackets = (listing: Listing): number =>
  queueRules(listing)
    .filter(({ comment }) => comment?.startsWith('to queue ') ?? false)
    .reduce((sum, rule) => sum + packetsOf(rule), 0)

/** Where the rule that queues is: in the second of these in an earlier version. */
export const queueRules = ({ chains }: Listing) =>
  ['admitted', 'candidate'].flatMap(name => chains.get(name)?.rules ?? [])

/** Whether the table would be empty but for the packet path. */
export const hasOnlyPacketPath = (listing: Listing): boolean =>
  listing.present &&
  [...listing.chains.keys()].every(name => !name.startsWith('pk-')) &&
  !hooks.some(hook => hasServices(hook, listing))
