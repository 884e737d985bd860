/** Rules of iptables-save that use ipt_pkd: a credential for each, and services for the rules that its list opens. */
import { maxSkewSeconds } from '../config/values.js'
import { bound, Draft } from './draft.js'
import type { ImportResult, OpenedPorts } from './draft-entries.js'
import type { Line } from './ipt-pkd-lines.js'
import { iptablesChain, listName, maskOf, readLines } from './ipt-pkd-lines.js'
import { openingOf } from './ipt-pkd-openings.js'
import type { RefusedPorts } from './ipt-pkd-refusals.js'
import { isCheck, refusalsIn, refusalsOf, sayRefusals, sayReplaced } from './ipt-pkd-refusals.js'
import type { IptablesRule } from './iptables.js'
import { interfaceOf } from './interface-names.js'
import { addressesOf, valueOf } from './iptables.js'
import type { Note } from './notes.js'
import { caution, shorten } from './notes.js'
import type { PkdRule } from './pkd-credentials.js'
import { addPkdRules, unusable } from './pkd-credentials.js'
import { portOf } from './service-ports.js'
import { count } from '../util/index.js'

/** More than any machine has; it bounds the work that a hostile file can cause. */
const maxRefusals = 1000

export function importIptPkd(text: string): ImportResult {
  const draft = new Draft()
  const { lines, policies } = readLines(text)
  const knocks = lines.filter(({ rule }) => rule.matches.includes('pkd'))
  bound(knocks.length)
  if (knocks.length === 0) draft.caution('no rule uses ipt_pkd (-m pkd)')
  const setting = settingOf(lines)
  const called = new Set(knocks.map(({ rule, table }) => iptablesChain(table, valueOf(rule, '--jump'))))
  const inCalled = [...called].flatMap(chain => [...(setting.get(chain)?.values() ?? [])].flat())
  const entering = [...knocks.filter(({ rule }) => rule.options.has('--set')), ...inCalled]
  const filled = new Set(entering.map(({ rule }) => listName(rule)))
  const checks = lines.filter(({ rule }) => isCheck(rule) && filled.has(listName(rule)))
  const known = new Set([...knocks, ...checks, ...entering])
  const own = new Set([...knocks, ...entering])
  const refusals = refusalsIn(lines.filter(line => !own.has(line))).slice(0, maxRefusals)
  const refused = new Set<RefusedPorts>()
  const lists = new Map<string, OpenedPorts[]>()
  for (const name of filled) {
    const opens = checks.filter(({ rule }) => listName(rule) === name).flatMap(check => openingOf(check, name, draft))
    bound(opens.length)
    const ways = opens.map(opening => refusalsOf(opening, refusals))
    for (const one of ways.flat()) refused.add(one)
    lists.set(
      name,
      opens.map((opening, i) => ({ reject: ways[i]?.[0]?.reject ?? 'drop', ...opening })),
    )
  }
  const rules = knocks.flatMap(knock => {
    const rule = ruleOf(knock, enteringFor(knock, setting), lists)
    if (typeof rule !== 'string') return [rule]
    draft.caution(`left out: line ${knock.number}: ${rule}`)
    return []
  })
  addPkdRules(draft, rules)
  sayRefusals(
    rules.flatMap(({ opens }) => opens),
    refused,
    lines,
    policies,
    draft,
  )
  if (rules.length > 0) sayReplaced([...known, ...[...refused].map(({ line }) => line)], draft)
  const changing = lines.filter(line => !known.has(line) && lists.has(listName(line.rule)) && isChanging(line.rule))
  for (const { rule, number } of changing)
    draft.caution(`left out: line ${number}: it changes the list ${shorten(listName(rule))} without a knock of ipt_pkd`)
  const others = lines.length - new Set([...known, ...changing, ...[...refused].map(({ line }) => line)]).size
  if (others > 0)
    draft.remark(
      `no part in knocks: ${count(others, 'other rule')}, which pkctl leaves in iptables, where a port must be let pass`,
    )
  return draft.finish()
}

const isChanging = ({ matches, options, odd }: IptablesRule) =>
  matches.includes('recent') && (options.has('--set') || odd.includes('--remove'))

/** By chain, and there by what is entered into which list, the rules that do it. */
function settingOf(lines: readonly Line[]): Map<string, Map<string, Line[]>> {
  const chains = new Map<string, Map<string, Line[]>>()
  for (const line of lines.filter(({ rule }) => rule.options.has('--set'))) {
    const chain = iptablesChain(line.table, line.rule.chain)
    const alike = chains.get(chain) ?? new Map<string, Line[]>()
    chains.set(chain, alike)
    const what = `${listName(line.rule)} ${valueOf(line.rule, '--mask')}`
    const before = alike.get(what)
    if (before) before.push(line)
    else alike.set(what, [line])
  }
  return chains
}

/** The rules that enter the source of a knock: its own, and one of those that do the same in the chain it goes to. */
function enteringFor(knock: Line, setting: ReadonlyMap<string, ReadonlyMap<string, readonly Line[]>>): Line[] {
  const own = knock.rule.options.has('--set') ? [knock] : []
  const alike = setting.get(iptablesChain(knock.table, valueOf(knock.rule, '--jump')))?.values() ?? []
  return [...own, ...[...alike].flatMap(([first]) => first ?? [])]
}

function ruleOf(
  { rule }: Line,
  entering: readonly Line[],
  lists: ReadonlyMap<string, OpenedPorts[]>,
): PkdRule | string {
  const notes: Note[] = []
  if (rule.odd.length > 0) notes.push(caution(`left out: ${shorten(rule.odd.join(' '))}: it has no meaning here`))
  for (const option of ['--source', '--destination'] as const) {
    const value = addressesOf(rule, option)
    if (value !== undefined)
      notes.push(caution(`left out: ${option} ${shorten(value)}: knocks are taken wherever they come in`))
  }
  const key = valueOf(rule, '--key') ?? ''
  const tag = valueOf(rule, '--tag') ?? 'PKD0'
  const wrong = unusable(tag, key)
  if (wrong !== undefined) return wrong
  const names = [...new Set(entering.map(one => listName(one.rule)))]
  for (const mask of new Set(entering.map(one => maskOf(one.rule)))) if (mask !== undefined) notes.push(caution(mask))
  if (names.length === 0) return 'its knocks are entered into no list (-m recent --set)'
  const opens = names.flatMap(name => lists.get(name) ?? [])
  if (opens.length === 0) return `no rule accepts ports for the list ${shorten(names.join(', '))}`
  const given = valueOf(rule, '--dport') ?? valueOf(rule, '--dports')
  const port = given === undefined ? undefined : portOf(given, 'udp')
  if (given !== undefined && port === undefined)
    notes.push(caution(`its port ${shorten(given)} is not one port; here it may be any`))
  return {
    name: tag.startsWith('0x') ? `tag-${tag.slice(2)}` : tag,
    tag,
    key,
    skew: skewOf(rule, notes),
    port,
    interfaces: interfacesOf(rule, notes),
    opens,
    notes,
  }
}

function interfacesOf(rule: IptablesRule, notes: Note[]): string[] {
  const given = valueOf(rule, '--in-interface')
  if (given === undefined) return []
  const name = interfaceOf(given)
  if (name === undefined)
    notes.push(caution(`left out: --in-interface ${shorten(given)}: knocks are taken wherever they come in`))
  return name === undefined ? [] : [name]
}

function skewOf(rule: IptablesRule, notes: Note[]): number {
  const text = valueOf(rule, '--window') ?? '10'
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : 10
  if (!/^\d{1,9}$/.test(text)) notes.push(caution(`--window ${shorten(text)} is no number of seconds; it is 10 here`))
  if (seconds === 0) {
    notes.push(
      caution('the time of knocks is not checked, as there (--window 0); give a skew, if the clocks are right'),
    )
    return -1
  }
  if (seconds > maxSkewSeconds) notes.push(caution(`--window ${seconds} is more than a day, which is the most here`))
  return Math.min(seconds, maxSkewSeconds)
}
