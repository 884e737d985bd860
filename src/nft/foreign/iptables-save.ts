/** Rules as iptables-save prints them. nft shows of most matches of iptables only that they are there. */
import type { PortRange } from '../../net/index.js'
import { protocolNumbers } from '../../net/index.js'
import type { Action, Condition, Rule, RuleChain } from './rule.js'

const priorities: Readonly<Record<string, number>> = { raw: -300, mangle: -150, nat: -100, filter: 0, security: 50 }
const hooksOf: Readonly<Record<string, string>> = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  FORWARD: 'forward',
  OUTPUT: 'output',
  POSTROUTING: 'postrouting',
}

type Mutable = RuleChain & { rules: Rule[] }

/** The chains of all tables, without the rules that pkctl made. */
export function parseSavedRules(text: string, family: 'ip' | 'ip6', tool: NonNullable<RuleChain['tool']>): RuleChain[] {
  const chains: Mutable[] = []
  let table = ''
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim()
    const [, name, policy] = /^:(\S+) (\S+)/.exec(line) ?? []
    if (name !== undefined) chains.push({ family, table, name, rules: [], tool, ...baseOf(table, name, policy ?? '-') })
    const [, of, words = ''] = /^-A (\S+)(.*)$/.exec(line) ?? []
    if (of === undefined || /--comment "?pkctl: /.test(words)) continue
    chains.find(chain => chain.table === table && chain.name === of)?.rules.push(parseRule(words))
  }
  return chains
}

function baseOf(table: string, name: string, policy: string): Pick<RuleChain, 'base'> {
  const hook = hooksOf[name]
  if (hook === undefined || policy === '-') return {}
  const priority = priorities[table] ?? 0
  return { base: { hook, priority, policy: policy === 'DROP' ? 'drop' : 'accept', nat: table === 'nat' } }
}

const silent = new Set(['tcp', 'udp', 'sctp', 'multiport', 'conntrack', 'state', 'comment', 'addrtype', 'mark'])

function parseRule(text: string): Rule {
  const words = (text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []).map(word => word.replace(/^"|"$/g, ''))
  const conditions: Condition[] = []
  const actions: Action[] = []
  let not = false
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string
    const value = words[i + 1] ?? ''
    if (word === '!') {
      not = true
      continue
    }
    const target = word === '-j' || word === '-g'
    if (target) actions.push(...targetActions(word, value, words))
    else conditions.push(...conditionsOf(word, value, not))
    not = false
    // What belongs to a target comes last, and says nothing of which packets it is for.
    if (target) break
    if (word.startsWith('-') && !value.startsWith('-') && value !== '!') i++
  }
  return { conditions, actions }
}

function conditionsOf(word: string, value: string, not: boolean): Condition[] {
  switch (word) {
    case '-p': {
      if (value === 'all') return []
      const known = (protocolNumbers as Readonly<Record<string, number>>)[value]
      return [{ kind: 'protocol', numbers: [known ?? Number(value)], not }]
    }
    case '--dport':
    case '--dports':
      return [{ kind: 'port', ranges: value.split(',').map(rangeOf), not }]
    case '--ctstate':
    case '--state':
      return value.split(',').some(state => /^(NEW|UNTRACKED)$/i.test(state)) === not ? [{ kind: 'never' }] : []
    case '-i':
      return value === 'lo' ? (not ? [] : [{ kind: 'never' }]) : [{ kind: 'some' }]
    case '--dst-type':
      return value === 'LOCAL' && !not ? [] : [{ kind: 'some' }]
    case '--comment':
      return []
    case '-m':
      return silent.has(value) ? [] : [{ kind: 'some' }]
    default:
      return [{ kind: 'some' }]
  }
}

function rangeOf(text: string): PortRange {
  const [first = 0, last = first] = text.split(':').map(Number)
  return { first, last }
}

function targetActions(word: string, target: string, words: readonly string[]): Action[] {
  const option = (name: string) => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined)
  switch (target) {
    case 'ACCEPT':
      return [{ kind: 'accept' }]
    case 'DROP':
    case 'REJECT':
      return [{ kind: 'drop' }]
    case 'RETURN':
      return [{ kind: 'return' }]
    case 'DNAT':
      return [{ kind: 'dnat', port: portAfter(/:(\d+)(?:-\d+)?$/, option('--to-destination')) }]
    case 'REDIRECT':
      return [{ kind: 'redirect', port: portAfter(/^(\d+)/, option('--to-ports')) }]
    case 'NFQUEUE':
      return [{ kind: 'queue', number: Number(option('--queue-num') ?? 0) }]
    case 'MARK': {
      const [value = '0', mask = '0xffffffff'] = (option('--set-xmark') ?? option('--set-mark') ?? '0').split('/')
      return [{ kind: 'mark', bits: (Number(value) & Number(mask)) >>> 0 }]
    }
    case 'LOG':
    case 'NFLOG':
    case 'TRACE':
    case 'MASQUERADE':
    case 'SNAT':
    case 'CONNMARK':
    case 'CT':
    case 'TCPMSS':
      return []
    default:
      return [{ kind: word === '-g' ? 'goto' : 'jump', chain: target }]
  }
}

function portAfter(pattern: RegExp, text: string | undefined): number | null {
  const digits = pattern.exec(text ?? '')?.[1]
  return digits === undefined ? null : Number(digits)
}
