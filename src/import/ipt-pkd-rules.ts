/** Rules of iptables-save that use ipt_pkd: a credential for each, and services for the rules that its list opens. */
import { maxWindowSeconds } from '../config/values.js'
import type { ImportResult, OpenedPorts, Window } from './draft-entries.js'
import { bound, Draft } from './draft.js'
import type { IptablesRule } from './iptables.js'
import { isAboutNew, portsOfRule, readRule, savedWords, valueOf } from './iptables.js'
import type { Note } from './notes.js'
import { caution, shorten } from './notes.js'
import type { PkdRule } from './pkd-credentials.js'
import { addPkdRules, maxSkew, unusable } from './pkd-credentials.js'
import { formatServicePorts, portOf } from './service-ports.js'

interface Line {
  readonly rule: IptablesRule
  readonly table: string
  readonly number: number
}

export function importIptPkd(text: string): ImportResult {
  const draft = new Draft()
  const lines = readLines(text)
  const knocks = lines.filter(({ rule }) => rule.matches.includes('pkd'))
  bound(knocks.length)
  if (knocks.length === 0) draft.caution('no rule uses ipt_pkd (-m pkd)')
  const checks = lines.filter(({ rule }) => rule.options.has('--rcheck') || rule.options.has('--update'))
  const setting = settingOf(lines)
  const called = new Set(knocks.map(({ rule, table }) => chainOf(table, valueOf(rule, '--jump'))))
  const inCalled = [...called].flatMap(chain => [...(setting.get(chain)?.values() ?? [])].flat())
  const entering = [...knocks.filter(({ rule }) => rule.options.has('--set')), ...inCalled]
  const lists = new Map<string, OpenedPorts[]>()
  for (const name of new Set(entering.map(({ rule }) => listName(rule)))) {
    const opens = checks.filter(({ rule }) => listName(rule) === name).flatMap(check => openingOf(check, name, draft))
    lists.set(name, opens)
  }
  const rules = knocks.flatMap(knock => {
    const rule = ruleOf(knock, enteringFor(knock, setting), lists)
    if (typeof rule !== 'string') return [rule]
    draft.caution(`left out: line ${knock.number}: ${rule}`)
    return []
  })
  addPkdRules(draft, rules)
  const known = new Set([...knocks, ...checks, ...entering])
  const changing = lines.filter(line => !known.has(line) && lists.has(listName(line.rule)) && isChanging(line.rule))
  for (const { rule, number } of changing)
    draft.caution(`left out: line ${number}: it changes the list ${shorten(listName(rule))} without a knock of ipt_pkd`)
  const others = lines.length - known.size - changing.length
  if (others > 0)
    draft.remark(`${others} other rules have no part in knocks; they stay in iptables, where a port must be let pass`)
  return draft.finish()
}

function readLines(text: string): Line[] {
  let table = 'filter'
  return text.split(/\r?\n/).flatMap((raw, i) => {
    // Counters stand in front of a rule.
    const line = raw.trim().replace(/^\[\d+:\d+\] /, '')
    if (line.startsWith('*')) table = line.slice(1)
    if (!/^(ip6?tables\S* .*)?(-A|-I|--append|--insert) /.test(line)) return []
    const rule = readRule(savedWords(line.replace(/^ip6?tables\S* /, '')))
    return [{ rule, table: valueOf(rule, '--table') ?? table, number: i + 1 }]
  })
}

const listName = (rule: IptablesRule) => valueOf(rule, '--name') ?? 'DEFAULT'

const isChanging = ({ matches, options, odd }: IptablesRule) =>
  matches.includes('recent') && (options.has('--set') || odd.includes('--remove'))

const chainOf = (table: string, chain: string | undefined) => `${table} ${chain}`

/** By chain, and there by what is entered into which list, the rules that do it. */
function settingOf(lines: readonly Line[]): Map<string, Map<string, Line[]>> {
  const chains = new Map<string, Map<string, Line[]>>()
  for (const line of lines.filter(({ rule }) => rule.options.has('--set'))) {
    const chain = chainOf(line.table, line.rule.chain)
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
  const alike = setting.get(chainOf(knock.table, valueOf(knock.rule, '--jump')))?.values() ?? []
  return [...own, ...[...alike].flatMap(([first]) => first ?? [])]
}

/** What is said of a list whose entries stand for more than one address. */
function maskOf(rule: IptablesRule): string | undefined {
  const mask = valueOf(rule, '--mask')
  if (mask === undefined || /^(255\.255\.255\.255|ffff(:ffff){7})$/i.test(mask)) return undefined
  return `left out: --mask ${shorten(mask)}: a knock is for the one address that it comes from; prefix4 makes it more`
}

function ruleOf(
  { rule }: Line,
  entering: readonly Line[],
  lists: ReadonlyMap<string, OpenedPorts[]>,
): PkdRule | string {
  const notes: Note[] = []
  if (rule.odd.length > 0) notes.push(caution(`left out: ${shorten(rule.odd.join(' '))}: it has no meaning here`))
  for (const option of ['--source', '--destination', '--in-interface']) {
    const value = valueOf(rule, option)
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
    opens,
    notes,
  }
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
  if (seconds > maxSkew) notes.push(caution(`--window ${seconds} is more than a day, which is the most here`))
  return Math.min(seconds, maxSkew)
}

function openingOf({ rule, table, number }: Line, list: string, draft: Draft): OpenedPorts[] {
  const leave = (why: string): OpenedPorts[] => {
    draft.caution(`left out: line ${number}, for the list ${shorten(list)}: ${why}`)
    return []
  }
  if (table !== 'filter') return leave(`it is in the table ${shorten(table)}`)
  if (['FORWARD', 'OUTPUT'].includes(rule.chain))
    return leave('it is for packets to other machines, which pkctl does not filter')
  if (rule.odd.length > 0) return leave(`${shorten(rule.odd.join(' '))} has no meaning here`)
  if (valueOf(rule, '--jump') !== 'ACCEPT')
    return leave(`its target is ${shorten(valueOf(rule, '--jump') ?? 'none')} and not ACCEPT`)
  if (!isAboutNew(rule))
    return leave(`it is for connections that are ${shorten(valueOf(rule, '--ctstate') ?? '')}, not NEW`)
  const ports = portsOfRule(rule)
  if (typeof ports === 'string') return leave(`${ports}; a service with port: 1-65535 and except can protect all ports`)
  const what = formatServicePorts(ports.protocol, ports.ports)
  if (rule.chain !== 'INPUT') {
    const chain = shorten(rule.chain)
    draft.caution(`line ${number}: ${what}: what calls the chain ${chain} is not checked; here it is for all packets`)
  }
  const mask = maskOf(rule)
  if (mask !== undefined) draft.caution(`line ${number}: ${mask}`)
  if (rule.options.has('--update'))
    draft.caution(`${what}: there, each packet restarts the time (--update); here, a knock does`)
  for (const option of ['--source', '--destination', '--in-interface']) {
    const value = valueOf(rule, option)
    if (value !== undefined)
      draft.caution(`left out: line ${number}: ${option} ${shorten(value)}: ${what} opens wherever it is`)
  }
  return [{ ...ports, window: windowOf(rule, what, draft) }]
}

function windowOf(rule: IptablesRule, what: string, draft: Draft): Window {
  const text = valueOf(rule, '--seconds')
  const seconds = Number(text)
  if (text !== undefined && Number.isInteger(seconds) && seconds >= 1) return Math.min(seconds, maxWindowSeconds)
  draft.caution(`${what}: without --seconds, it stays open until pkctl delete; a window such as 8h is safer`)
  return 'unlimited'
}
