/** The ruleset: pkctl's part, and that of others. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import type { Config } from '../../config/types.js'
import { nftErrorFrom } from '../../nft/errors.js'
import type { RuleChain, Ruleset } from '../../nft/foreign/index.js'
import { parseRuleset, parseSavedRules } from '../../nft/foreign/index.js'
import { differences, queueInUse, readServices } from '../../nft/index.js'
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
  const saved = await savedRules(notSeen)
  const services = readServices(ruleset.own)
  const specs = (config?.services ?? []).flatMap(spec => {
    const state = services.get(spec.name)
    return state ? [[spec.name, differences(spec, { ...state, sound: true })] as const] : []
  })
  const byNft = JSON.stringify(ruleset.own.chains.get('candidate')?.rules ?? []).includes('{"queue":')
  const interfaces = Object.entries(os.networkInterfaces()).filter(([name]) => name !== 'lo')
  return {
    services,
    addresses: interfaces.flatMap(([, own]) => (own ?? []).map(({ address }) => address)),
    interfaces: interfaces.map(([name]) => name),
    differences: new Map(specs),
    sets: ruleset.ownSets,
    chains: [...ruleset.chains.filter(chain => !saved.chains.some(other => sameTable(chain, other))), ...saved.chains],
    queue: queueInUse(ruleset.own) ?? null,
    queued: byNft || saved.ownRules === families.length,
  }
}

const sameTable = (a: RuleChain, b: RuleChain) =>
  a.family === b.family && a.table === b.table && b.tool === 'iptables-nft'

const families = [
  { family: 'ip', tool: 'iptables', names: '/proc/net/ip_tables_names' },
  { family: 'ip6', tool: 'ip6tables', names: '/proc/net/ip6_tables_names' },
] as const

/** The tables of iptables in its own words, in which more can be read; without the tool, those of nft have to do. */
async function savedRules(notSeen: NotSeen): Promise<{ chains: RuleChain[]; ownRules: number }> {
  const chains: RuleChain[] = []
  let ownRules = 0
  for (const { family, tool, names } of families) {
    const text = await save(`${tool}-nft-save`)
    chains.push(...parseSavedRules(text ?? '', family, 'iptables-nft'))
    if (/^-A .*--comment "?pkctl: .* -j NFQUEUE /m.test(text ?? '')) ownRules++
    // Only where such rules are: asking loads the modules of tables that are not there.
    if (!hasLegacyTables(names)) continue
    const legacy = await save(`${tool}-legacy-save`)
    if (legacy === undefined) notSeen(`the rules of ${tool}-legacy`, `there is no ${tool}-legacy-save program`)
    chains.push(...parseSavedRules(legacy ?? '', family, 'iptables-legacy'))
  }
  return { chains, ownRules }
}

async function save(program: string): Promise<string | undefined> {
  try {
    const { status, stdout } = await execute(program, [])
    return status === 0 ? stdout : undefined
  } catch {
    return undefined
  }
}

function hasLegacyTables(file: string): boolean {
  try {
    return fs.readFileSync(file, 'utf8').trim() !== ''
  } catch {
    return false
  }
}
