/** What of pkctl's own rules stands in a file from which a firewall is loaded, as `nft list ruleset` or iptables-save has them. */
import { family, table } from '../nft-json.js'

export interface SavedPart {
  /** Whether it makes pkctl's table. */
  readonly hasTable: boolean
  /** Whether it has anything to do with the table: the kernel refuses it while the table has an owner. */
  readonly mentionsTable: boolean
  /** Elements of the sets of sources with access. Those of allowlists stand in the configuration as well. */
  readonly grants: number
  /** Whether it has pkctl's rule of iptables. */
  readonly hasQueueRule: boolean
}

const ownTable = new RegExp(String.raw`\btable\s+${family}\s+${table}\s*\{`, 'g')
const mention = new RegExp(String.raw`\b${family}\s+${table}(?![\w.-])`)
const ownElements = new RegExp(String.raw`\belement\s+${family}\s+${table}\s+(pk-\S+)\s*\{`, 'g')
const isAllowlist = (set: string) => /\.allow-[46]$/.test(set)

export function savedPart(text: string): SavedPart {
  // Most of such files have nothing of it, and some have a million prefixes.
  if (!text.includes(table)) return { hasTable: false, mentionsTable: false, grants: 0, hasQueueRule: false }
  const plain = text.replace(/"[^"\n]*"|#[^\n]*/g, found => (found.startsWith('#') ? '' : '""'))
  const tables = blocks(plain, ownTable).map(({ body }) => body)
  const sets = tables.flatMap(body => blocks(body, /\bset\s+(pk-\S+)\s*\{/g))
  const held = sets.flatMap(({ name, body }) => blocks(body, /\belements\s*=\s*\{/g).map(one => ({ ...one, name })))
  const grants = [...held, ...blocks(plain, ownElements)].filter(({ name }) => !isAllowlist(name))
  return {
    hasTable: tables.length > 0,
    mentionsTable: mention.test(plain),
    grants: grants.reduce((sum, { body }) => sum + body.split(',').filter(one => one.trim() !== '').length, 0),
    hasQueueRule: /^-A .*--comment "?pkctl: .* -j NFQUEUE /m.test(text),
  }
}

/** What stands in braces behind each place that matches; `name` is the pattern's first group. */
function blocks(text: string, pattern: RegExp): { name: string; body: string }[] {
  return [...text.matchAll(pattern)].map(match => {
    const from = match.index + match[0].length
    let depth = 1
    let at = from
    while (at < text.length && depth > 0) {
      if (text[at] === '{') depth++
      else if (text[at] === '}') depth--
      at++
    }
    return { name: match[1] ?? '', body: text.slice(from, at - 1) }
  })
}
