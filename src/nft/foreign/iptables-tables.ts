/** The tables of iptables in its own words, in which more can be read than in those of nft. */
import * as fs from 'node:fs'
import { execute, oneLine } from '../../util/index.js'
import { parseSavedRules } from './iptables-save.js'
import type { RuleChain } from './rule.js'

const families = [
  { family: 'ip', tool: 'iptables', names: '/proc/net/ip_tables_names' },
  { family: 'ip6', tool: 'ip6tables', names: '/proc/net/ip6_tables_names' },
] as const

interface SavedTables {
  readonly chains: readonly RuleChain[]
  /** Whether pkctl's own rule that queues knocks is there, for both address families; undefined where that cannot be seen. */
  readonly queued: boolean | undefined
}

/** Without the programs there are none, of which `notSeen` is told where it matters. */
export async function savedTables(
  notSeen: (what: string, why: string) => void = () => undefined,
): Promise<SavedTables> {
  const chains: RuleChain[] = []
  let ownRules = 0
  let unseen = 0
  for (const { family, tool, names } of families) {
    const text = await save(`${tool}-nft-save`, why => {
      unseen++
      notSeen(`the rules of ${tool}-nft`, why)
    })
    chains.push(...parseSavedRules(text ?? '', family, 'iptables-nft'))
    if (/^-A .*--comment "?pkctl: .* -j NFQUEUE /m.test(text ?? '')) ownRules++
    // Only where such rules are: asking loads the modules of tables that are not there.
    if (!hasLegacyTables(names)) continue
    const legacy = await save(
      `${tool}-legacy-save`,
      why => {
        notSeen(`the rules of ${tool}-legacy`, why)
      },
      `there is no ${tool}-legacy-save program`,
    )
    chains.push(...parseSavedRules(legacy ?? '', family, 'iptables-legacy'))
  }
  return { chains, queued: unseen > 0 ? undefined : ownRules === families.length }
}

/** All chains, those of iptables in its own words. */
export const withSavedTables = (listed: readonly RuleChain[], saved: readonly RuleChain[]): RuleChain[] => [
  ...listed.filter(chain => !saved.some(other => sameTable(chain, other))),
  ...saved,
]

const sameTable = (a: RuleChain, b: RuleChain) =>
  a.family === b.family && a.table === b.table && b.tool === 'iptables-nft'

/**
 * Undefined without the program, and where it fails or does not end, which `failed` is told; of a missing program only with
 * `missing`.
 */
async function save(program: string, failed: (why: string) => void, missing?: string): Promise<string | undefined> {
  try {
    const { status, stdout, stderr } = await execute(program, [])
    if (status === 0) return stdout
    failed(oneLine(stderr.trim()))
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? missing : (error as Error).message
    if (why !== undefined) failed(why)
  }
  return undefined
}

function hasLegacyTables(file: string): boolean {
  try {
    return fs.readFileSync(file, 'utf8').trim() !== ''
  } catch {
    return false
  }
}
