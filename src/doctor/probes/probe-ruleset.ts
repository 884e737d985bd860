/** The ruleset: pkctl's part, and that of others. */
import * as os from 'node:os'
import type { Config } from '../../config/types.js'
import { nftErrorFrom } from '../../nft/nft-errors.js'
import type { Ruleset } from '../../nft/foreign/index.js'
import { parseRuleset, savedTables, withSavedTables } from '../../nft/foreign/index.js'
import { differences, queueInUse, queueRules, readServices } from '../../nft/index.js'
import { execute } from '../../util/index.js'
import type { KernelFacts } from '../facts.js'
import type { NotSeen } from './not-inspected.js'

export async function kernelFacts(config: Config | null, notSeen: NotSeen): Promise<KernelFacts | null> {
  let ruleset: Ruleset
  try {
    const { status, stdout, stderr } = await execute('nft', ['-j', 'list', 'ruleset'])
    if (status !== 0) throw nftErrorFrom('nft list ruleset', stderr)
    ruleset = parseRuleset(JSON.parse(stdout))
  } catch (error) {
    notSeen('the ruleset', (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no nft program' : error)
    return null
  }
  const saved = await savedTables(notSeen)
  const services = readServices(ruleset.own)
  const specs = (config?.services ?? []).flatMap(spec => {
    const state = services.get(spec.name)
    return state ? [[spec.name, differences(spec, { ...state, sound: true })] as const] : []
  })
  const byNft = queueRules(ruleset.own).some(({ expr }) => JSON.stringify(expr).includes('{"queue":'))
  const interfaces = Object.entries(os.networkInterfaces()).filter(([name]) => name !== 'lo')
  return {
    services,
    addresses: interfaces.flatMap(([, own]) => (own ?? []).map(({ address }) => address)),
    interfaces: interfaces.map(([name]) => name),
    differences: new Map(specs),
    sets: ruleset.ownSets,
    chains: withSavedTables(ruleset.chains, saved.chains),
    queue: queueInUse(ruleset.own) ?? null,
    queued: byNft || saved.queued !== false,
  }
}
