/**
 * The way to the queue on kernels that have NFQUEUE and lack nft's `queue` statement: one rule for each address family
 * in iptables-nft's mangle table, at priority -150, which queues what the packet path has marked.
 *
 * That table is shared with other programs. pkctl adds and deletes its own rule there and nothing else; the rule's comment
 * remembers whether the table and the chain had to be made for it, and only then they go with it, if they are empty.
 */
import type { Execute } from '../../util/index.js'
import { nftErrorFrom, noResultError } from '../nft-errors.js'
import type { Hook } from '../nft-json.js'
import type { MarkMatch } from './marks.js'

export interface IptablesQueue {
  /**
   * Adds the rule in place of any that pkctl left there before; false when it was there already. Packets with that mark
   * are queued.
   */
  install(hook: Hook, mark: MarkMatch, queue: number): Promise<boolean>
  /** Deletes what `install` made, in this process or an earlier one. */
  remove(): Promise<void>
}

interface OwnRule {
  readonly chain: string
  readonly words: readonly string[]
  readonly comment: string
}

const families = [
  { tool: 'iptables-nft', family: 'ip' },
  { tool: 'ip6tables-nft', family: 'ip6' },
] as const

type Family = (typeof families)[number]

const markWord = ({ value, mask }: MarkMatch) => `0x${value.toString(16)}/0x${mask.toString(16)}`

export function realIptablesQueue(run: Execute): IptablesQueue {
  async function command(file: string, args: readonly string[]): Promise<string> {
    const limits = { name: [file, ...args].join(' ') }
    const result = await run(file, args, undefined, limits).catch((cause: unknown) => {
      throw noResultError(file, file, cause)
    })
    if (result.status !== 0) throw nftErrorFrom(file, result.stderr)
    return result.stdout
  }

  /** The comments of the rules that this process has added, by family and chain. */
  const madeBefore = new Map<string, string>()

  const exists = async (...what: string[]) => (await run('nft', ['list', ...what])).status === 0

  async function ownRules({ tool }: Family): Promise<OwnRule[]> {
    const saved = await command(`${tool}-save`, ['-t', 'mangle'])
    return saved.split('\n').flatMap(line => {
      const [, chain, comment] = /^-A (\S+) .*--comment "?(pkctl: [a-z ]+?)"? -j NFQUEUE/.exec(line) ?? []
      if (chain === undefined || comment === undefined) return []
      const words = line.match(/"[^"]*"|\S+/g)?.slice(2) ?? []
      return [{ chain, comment, words: words.map(word => word.replace(/^"|"$/g, '')) }]
    })
  }

  async function removeFrom(side: Family): Promise<void> {
    for (const { chain, words, comment } of await ownRules(side)) {
      await command(side.tool, ['-t', 'mangle', '-D', chain, ...words])
      // Deleting a chain that holds a rule fails, which is what is wanted; a table is looked into first.
      if (!comment.includes('made')) continue
      await run('nft', ['delete', 'chain', side.family, 'mangle', chain])
      if (!comment.includes('table')) continue
      const rest = await run('nft', ['list', 'table', side.family, 'mangle'])
      if (!rest.stdout.includes('chain ')) await run('nft', ['delete', 'table', side.family, 'mangle'])
    }
  }

  async function installIn(side: Family, hook: Hook, mark: MarkMatch, queue: number): Promise<void> {
    const chain = hook.toUpperCase()
    const now = !(await exists('table', side.family, 'mangle'))
      ? 'pkctl: made table and chain'
      : !(await exists('chain', side.family, 'mangle', chain))
        ? 'pkctl: made chain'
        : 'pkctl: knocks'
    // Another program may have flushed the chain, and the rule with its comment.
    const made = now === 'pkctl: knocks' ? (madeBefore.get(`${side.family} ${chain}`) ?? now) : now
    madeBefore.set(`${side.family} ${chain}`, made)
    const match = ['-m', 'mark', '--mark', markWord(mark), '-m', 'comment', '--comment', made]
    const target = ['-j', 'NFQUEUE', '--queue-num', String(queue), '--queue-bypass']
    // First, so that no other rule of the chain sets a mark before.
    await command(side.tool, ['-t', 'mangle', '-I', chain, '1', ...match, ...target])
  }

  return {
    async install(hook, mark, queue) {
      let changed = false
      for (const side of families) {
        // A rule that is right stays: while it is away, knocks find no queue.
        const wanted = (rule: OwnRule) =>
          rule.chain === hook.toUpperCase() &&
          rule.words.includes(markWord(mark)) &&
          rule.words[rule.words.indexOf('--queue-num') + 1] === String(queue)
        const rules = await ownRules(side)
        if (rules.length === 1 && rules.every(wanted)) continue
        await removeFrom(side)
        await installIn(side, hook, mark, queue)
        changed = true
      }
      return changed
    },
    async remove() {
      for (const side of families) await removeFrom(side)
    },
  }
}
