/** Rules of iptables, as iptables-save prints them or as commands, with their tables and lines. */
import type { IptablesRule } from './iptables.js'
import { readIptablesRule, savedWords, valueOf } from './iptables.js'
import { shorten } from './notes.js'

export interface Line {
  readonly rule: IptablesRule
  readonly table: string
  readonly number: number
}

/** A policy, as `:INPUT DROP` gives it. */
export interface Policy {
  readonly chain: string
  readonly target: string
  readonly number: number
}

export function readLines(text: string): { lines: Line[]; policies: Policy[] } {
  let table = 'filter'
  const lines: Line[] = []
  const policies: Policy[] = []
  let begun: { words: string; number: number } | undefined
  text.split(/\r?\n/).forEach((raw, i) => {
    const { words, number } = { words: `${begun?.words ?? ''}${raw.trim()}`, number: begun?.number ?? i + 1 }
    begun = words.endsWith('\\') ? { words: `${words.slice(0, -1)} `, number } : undefined
    if (begun) return
    // Counters stand in front of a rule.
    const line = words.replace(/^\[\d+:\d+\] /, '')
    if (line.startsWith('*')) table = line.slice(1)
    const [, chain, target] = /^:(\S+) (\S+)/.exec(line) ?? []
    if (chain !== undefined && target !== undefined && table === 'filter') policies.push({ chain, target, number })
    if (!/^(ip6?tables\S* .*)?(-A|-I|--append|--insert) /.test(line)) return
    const rule = readIptablesRule(savedWords(line.replace(/^ip6?tables\S* /, '')))
    lines.push({ rule, table: valueOf(rule, '--table') ?? table, number })
  })
  return { lines, policies }
}

export const listName = (rule: IptablesRule) => valueOf(rule, '--name') ?? 'DEFAULT'

/** What is said of a list whose entries stand for more than one address. */
export function maskOf(rule: IptablesRule): string | undefined {
  const mask = valueOf(rule, '--mask')
  if (mask === undefined || /^(255\.255\.255\.255|ffff(:ffff){7})$/i.test(mask)) return undefined
  return `left out: --mask ${shorten(mask)}: a knock is for the one address that it comes from; prefix4 makes it more`
}

export const iptablesChain = (table: string, chain: string | undefined) => `${table} ${chain}`
