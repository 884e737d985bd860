/**
 * Grants of a table that another program has made, most likely by loading a saved ruleset: they may have ended or been revoked
 * since it was saved.
 */
import { count } from '../../util/index.js'
import type { Listing } from '../listing.js'
import type { Command } from '../nft-json.js'
import { flushSet } from '../nft-json.js'
import type { RulesetAccess } from '../ruleset-access.js'
import { isTimedSet } from '../table/service-sets.js'
import { isGrantSet } from './reported-grants.js'

interface ForeignGrants {
  /** How many there are. */
  readonly removed: number
  /** Delete them. */
  readonly commands: readonly Command[]
  /** The table without them, with all other elements. */
  readonly listing?: Listing
}

export const noForeignGrants: ForeignGrants = { removed: 0, commands: [] }

/** To be called with the lock; `terse` is the table as it is. */
export async function foreignGrants(
  { nft, tableNote }: Pick<RulesetAccess, 'nft' | 'tableNote'>,
  terse: Listing,
): Promise<ForeignGrants> {
  if (!terse.present || tableNote.originOf(terse.handle) !== 'other') return noForeignGrants
  const listing = await nft.list()
  const flushed = [...listing.sets.values()].filter(({ name, elements }) => isTimedSet(name) && elements.length > 0)
  const sets = new Map([...listing.sets, ...flushed.map(({ name }) => [name, { name, elements: [] }] as const)])
  return {
    removed: flushed.reduce((sum, { name, elements }) => sum + (isGrantSet(name) ? elements.length : 0), 0),
    commands: flushed.map(({ name }) => flushSet(name)),
    listing: { ...listing, sets },
  }
}

export function foreignGrantsWarning(removed: number, dryRun = false): string {
  const verb = dryRun ? 'would be' : removed === 1 ? 'is' : 'are'
  return `${count(removed, 'grant')} of a table that another program has made, most likely from a saved ruleset, ${verb} removed`
}
