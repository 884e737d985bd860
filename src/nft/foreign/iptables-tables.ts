/** The tables of iptables in its own words, in which more can be read than in those of nft. */
import * as fs from 'node:fs'
import { execute } from '../../util/index.js'
import { parseSavedRules } from './iptables-save.js'
import type { RuleChain } from './rule.js'

const families = [
  { family: 'ip', tool: 'iptables', names: '/proc/net/ip_tables_names' },
  { family: 'ip6', tool: 'ip6tables', names: '/proc/net/ip6_tables_names' },
] as const

interface SavedTables {
  readonly chains: readonly RuleChain[]
  /** Whether pkctl's own rule that queues knocks is there, for both address families. */
  readonly queued: boolean
}

/** Without the programs there are none, of which `notSeen` is told where it matters. */
export async function savedTables(
  notSeen: (what: string, why: string) => void = () => undefined,
): Promise<SavedTables> {
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
  return { chains, queued: ownRules === families.length }
}

/** All chains, those of iptables in its own words. */
export const withSavedTables = (listed: readonly RuleChain[], saved: readonly RuleChain[]): RuleChain[] => [
  ...listed.filter(chain => !saved.some(other => sameTable(chain, other))),
  ...saved,
]

const sameTable = (a: RuleChain, b: RuleChain) =>
  a.family === b.family && a.table === b.table && b.tool === 'iptables-nft'

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
