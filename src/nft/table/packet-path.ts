/**
 * The packet path's own chains: which packets leave the kernel for user space, and what the answer does.
 *
 *     base chain "knock-HOOK" (-151)   candidates ──> limits ──> source into @pending ──> queue
 *                                      a new connection from a source in @pending ──────> queue
 *     base chain "grant-HOOK" (-149)   answered packets, by the mark of their verdict: chain grant-N updates sets
 *     base chain "gate-HOOK"  (-140)   see gate.ts and service-chain.ts
 *
 * An accepted packet goes on at the next base chain, which is why these are three. Where the kernel has no nft `queue`,
 * a rule of iptables-nft at -150 queues by the mark, between the first and the second (see iptables-queue.ts); rules of
 * others there may set marks as well. So a mark alone grants nothing: the packet must have the shape of a candidate,
 * and the numbers of actions are drawn at random (see controller/mark-allocator.ts). Marks of other packets are left alone.
 */
import type { Command } from '../json.js'
import * as j from '../json.js'
import type { Listing } from '../listing.js'
import { hooks } from './gate.js'
import { grantChainOf, grantMap, grantRules } from './grant-chain.js'
import { knockChainOf, knockRules } from './knock-chain.js'
import type { PacketPathSpec } from './packet-path-spec.js'
import { addSourceSets, sourceSetNames } from './pending-sources.js'
import { stepSetNames, stepSets } from './sequence-rules.js'

/** The commands that make the packet path in place of the one that is there; nothing of services changes. */
export function buildPacketPath(spec: PacketPathSpec, listing: Listing): Command[] {
  return [
    j.addTable(),
    ...removePacketPath(listing),
    ...addSourceSets(),
    ...(spec.sequencePorts ? stepSets(spec.sequencePorts) : []),
    ...grantRules(spec),
    ...knockRules(spec),
  ]
}

/** The commands that remove the packet path; services and grants stay as they are. */
export function removePacketPath(listing: Listing): Command[] {
  const bases = hooks.flatMap(hook => [knockChainOf(hook), grantChainOf(hook)]).filter(name => listing.chains.has(name))
  const regular = [...listing.chains.keys()].filter(name =>
    /^(candidate|excess|pending|answer|answered|stepped|step|astray|grant-\d+)$/.test(name),
  )
  const sets = [...sourceSetNames, ...stepSetNames].filter(name => listing.sets.has(name))
  return [
    ...[...bases, ...regular].map(j.flushChain),
    ...bases.map(j.deleteChain),
    // With its elements, and never those before it: see dropGate in gate.ts.
    ...(listing.maps.has(grantMap) ? [j.deleteMap(grantMap)] : []),
    ...regular.map(j.deleteChain),
    ...sets.map(j.deleteSet),
  ]
}

/** The commands that let no further packet leave the kernel; answers to those that did still have their effect. */
export function stopQueue(listing: Listing): Command[] {
  return hooks
    .map(knockChainOf)
    .filter(name => listing.chains.has(name))
    .flatMap(name => [j.flushChain(name), j.deleteChain(name)])
}

/** The number of the queue that a packet path in the kernel sends to, if there is one. */
export function queueInUse(listing: Listing): number | undefined {
  const comments =
    listing.chains.get('candidate')?.rules.map(rule => /^to queue (\d+)$/.exec(rule.comment ?? '')?.[1]) ?? []
  const number = comments.find(text => text !== undefined)
  return number === undefined ? undefined : Number(number)
}

/** Whether the table would be empty but for the packet path. */
export function hasOnlyPacketPath(listing: Listing): boolean {
  return (
    listing.present && [...listing.chains.keys()].every(name => !name.startsWith('pk-') && !name.startsWith('gate-'))
  )
}
