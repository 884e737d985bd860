/** The rules of other programs, as they are now, that may set bits of pkctl. */
import { execute } from '../../util/index.js'
import { nftErrorFrom } from '../nft-errors.js'
import { markSetters } from './mark-setters.js'
import type { RuleChain } from './rule.js'
import { parseRuleset } from './ruleset.js'
import { savedTables, withSavedTables } from './iptables-tables.js'

/** `hook` and `priority`: as for `markSetters`. Rejects with an NftError. */
export async function currentMarkSetters(where: Parameters<typeof markSetters>[1]): Promise<RuleChain[]> {
  // Without elements, of which others may have very many.
  const { status, stdout, stderr } = await execute('nft', ['-j', '-t', 'list', 'ruleset'])
  if (status !== 0) throw nftErrorFrom('nft list ruleset', stderr)
  const { chains } = parseRuleset(JSON.parse(stdout))
  return markSetters(withSavedTables(chains, (await savedTables()).chains), where)
}
