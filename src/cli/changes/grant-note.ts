/** What the grants that a command makes say of themselves: who made them, when, and why. */
import { declaredName } from '../../daemon/declared.js'
import type { ServiceGrant } from '../../nft/index.js'
import { grantComment } from '../../nft/index.js'
import { whoAsks } from './who-asks.js'

/** Throws a ValueError for a note that a grant cannot keep. */
export const ownComment = async (note?: string): Promise<string> =>
  grantComment(declaredName(await whoAsks()), note, Date.now())

/** For those that --allow-me makes. */
export async function withComment(grants: readonly ServiceGrant[]): Promise<readonly ServiceGrant[]> {
  if (grants.length === 0) return grants
  const comment = await ownComment('--allow-me')
  return grants.map(grant => ({ ...grant, comment }))
}
