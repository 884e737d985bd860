/** Listings of pkctl's table with the contents that a change depends on, and without those of large sets. */
import type { Listing } from '../listing.js'
import type { Nft } from '../nft.js'
import { isPortMap } from '../table/gate.js'
import { isAllowSet } from '../table/service-sets.js'

/** Beyond so many sets and maps, one listing of everything is quicker than a process for each. */
const maxSingleListings = 16
/** Not one that takes longer: it has many grants, or does not end because the ruleset changes all the time. */
const wholeListingMilliseconds = 3000

interface Contents {
  readonly maps: readonly string[]
  readonly sets: readonly string[]
}

/** The listing, which has no elements yet, with the elements of these maps and sets. */
export async function withElements(nft: Nft, terse: Listing, { maps, sets }: Contents): Promise<Listing> {
  const wanted = [...maps.map(name => ['map', name] as const), ...sets.map(name => ['set', name] as const)]
  const whole = wanted.length > maxSingleListings ? await listSoon(nft) : undefined
  if (whole) return whole
  const parts: Listing[] = []
  for (let i = 0; i < wanted.length; i += maxSingleListings) {
    const some = wanted.slice(i, i + maxSingleListings).map(([kind, name]) => nft.listSet(kind, name))
    parts.push(...(await Promise.all(some)))
  }
  const filled = { ...terse, maps: new Map(terse.maps), sets: new Map(terse.sets) }
  for (const part of parts) {
    for (const [name, map] of part.maps) filled.maps.set(name, map)
    for (const [name, set] of part.sets) filled.sets.set(name, set)
  }
  return filled
}

/** Everything; undefined when that takes too long. */
async function listSoon(nft: Nft): Promise<Listing | undefined> {
  const late = new AbortController()
  const timer = setTimeout(() => {
    late.abort(new Error('the listing takes too long'))
  }, wholeListingMilliseconds)
  try {
    return await nft.list({ signal: late.signal })
  } catch (error) {
    if (!late.signal.aborted) throw error
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

/** Chains and rules, the maps that lead to services, and the prefixes that are always allowed. */
export async function readStructure(nft: Nft): Promise<Listing> {
  const terse = await nft.list({ elements: false })
  return withElements(nft, terse, {
    maps: [...terse.maps.keys()].filter(isPortMap),
    sets: [...terse.sets.keys()].filter(isAllowSet),
  })
}
