/** Listings of pkctl's table with the contents that a change depends on, and without those of large sets. */
import type { Listing } from '../listing.js'
import type { Nft } from '../nft.js'
import { isPortMap } from '../table/gate.js'
import { isAllowSet } from '../table/service-sets.js'

/** Beyond so many sets and maps, one listing of everything is quicker than a process for each. */
const maxSingleListings = 16

interface Contents {
  readonly maps: readonly string[]
  readonly sets: readonly string[]
}

/** The listing, which has no elements yet, with the elements of these maps and sets. */
export async function withElements(nft: Nft, terse: Listing, { maps, sets }: Contents): Promise<Listing> {
  if (maps.length + sets.length > maxSingleListings) return nft.list()
  const parts = await Promise.all([
    ...maps.map(name => nft.listSet('map', name)),
    ...sets.map(name => nft.listSet('set', name)),
  ])
  const filled = { ...terse, maps: new Map(terse.maps), sets: new Map(terse.sets) }
  for (const part of parts) {
    for (const [name, map] of part.maps) filled.maps.set(name, map)
    for (const [name, set] of part.sets) filled.sets.set(name, set)
  }
  return filled
}

/** Chains and rules, the maps that lead to services, and the prefixes that are always allowed. */
export async function readStructure(nft: Nft): Promise<Listing> {
  const terse = await nft.list({ elements: false })
  return withElements(nft, terse, {
    maps: [...terse.maps.keys()].filter(isPortMap),
    sets: [...terse.sets.keys()].filter(isAllowSet),
  })
}
