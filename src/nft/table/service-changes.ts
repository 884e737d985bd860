/** Services come and go: the transactions that make, change, replace and remove them. */
import * as j from '../nft-json.js'
import type { Command } from '../nft-json.js'
import type { Listing } from '../listing.js'
import { aliveSet } from './daemon-alive.js'
import { addOnwardChain, dropOnwardChain, onwardChain } from './incoming-interface.js'
import type { PortKey, PortMapEntry } from './gate.js'
import {
  addPortKey,
  buildGate,
  deletePortKey,
  dropGate,
  gateOf,
  hooks,
  isOld,
  isOutdated,
  portKeyId,
  portKeysOf,
  portMapEntries,
  rangedProtocols,
} from './gate.js'
import { buildChain, dropChain } from './service-chain.js'
import { setNames } from './service-sets.js'
import type { ServiceSpec } from './service-spec.js'
import { serviceChain } from './service-spec.js'

/**
 * The commands that make these services as their specs say, whatever of them is there already, and remove those that
 * are `replaced`. Grants, and all services that are not named, stay as they are.
 */
export function buildServices(
  specs: readonly ServiceSpec[],
  listing: Listing,
  replaced: readonly string[] = [],
): Command[] {
  const outdated = hooks.some(hook => isOutdated(hook, listing))
  if (specs.length === 0 && replaced.length === 0 && !outdated) return []
  const named = new Set([...specs.map(spec => spec.name), ...replaced].map(serviceChain))
  const taken = [...portMapEntries(listing).values()].flat()
  const wanted = specs.flatMap(spec => portKeysOf(spec).map(key => ({ ...key, chain: serviceChain(spec.name) })))
  const all: readonly PortKey[] = [...wanted, ...taken.filter(key => !named.has(key.chain))]
  const used = hooks.filter(hook => all.some(key => key.hook === hook))
  const moved = taken.filter(key => isOld(key) && !named.has(key.chain))
  const staying = new Set(wanted.map(takenId))
  return [
    j.addTable(),
    ...(specs.some(({ hook }) => hook === 'prerouting') ? addOnwardChain() : []),
    // Before the gate: nft fills a new map of ranges at once, and its elements lead to the chains.
    ...specs.flatMap(spec => buildChain(spec, listing)),
    ...used.flatMap(hook => buildGate(hook, rangedProtocols(all, hook), listing)),
    // All keys are deleted before any is added, so that services can exchange their ports.
    ...taken
      .filter(key => named.has(key.chain) && !staying.has(takenId(key)) && used.includes(key.hook) && !isOld(key))
      .map(deletePortKey),
    ...hooks.filter(hook => !used.includes(hook)).flatMap(hook => dropGate(hook, listing)),
    ...replaced.flatMap(service => dropChain(service, listing)),
    ...(used.includes('prerouting') ? [] : dropOnwardChain(listing)),
    ...[...wanted, ...moved].map(key => addPortKey(key, key.chain)),
  ]
}

const takenId = (key: Omit<PortMapEntry, 'map'>) => `${portKeyId(key)} ${key.chain}`

/** The commands that remove services whole, with the last one of a hook its gate, and with the last of all the table. */
export function removeServices(services: readonly string[], listing: Listing): Command[] {
  if (services.length === 0) return []
  const chains = new Set(services.map(serviceChain))
  const taken = [...portMapEntries(listing).values()].flat()
  const idle = hooks.filter(hook => !taken.some(key => key.hook === hook && !chains.has(key.chain)))
  return [
    ...taken.filter(key => chains.has(key.chain) && !idle.includes(key.hook)).map(deletePortKey),
    ...idle.flatMap(hook => dropGate(hook, listing)),
    ...services.flatMap(service => dropChain(service, listing)),
    ...(idle.includes('prerouting') ? dropOnwardChain(listing) : []),
    ...dropTableIfEmpty(services, listing),
  ]
}

/** Deletes the table when these services are all that is in it. */
function dropTableIfEmpty(services: readonly string[], listing: Listing): Command[] {
  const own = services.map(serviceChain)
  const chains = new Set([...own, onwardChain, ...hooks.map(gateOf)])
  const sets = new Set([...services.flatMap(setNames), aliveSet])
  const isEmpty =
    [...portMapEntries(listing).keys()].every(chain => own.includes(chain)) &&
    [...listing.chains.keys()].every(name => chains.has(name)) &&
    [...listing.sets.keys()].every(name => sets.has(name)) &&
    !listing.maps.has('grants')
  return isEmpty ? [j.deleteTable()] : []
}
