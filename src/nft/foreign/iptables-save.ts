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

/** Modules whose options say it all. */
const silent = new Set([
  ...['tcp', 'udp', 'sctp', 'multiport', 'conntrack', 'state', 'comment', 'addrtype', 'mark'],
  ...['mac', 'set', 'geoip', 'iprange', 'recent'],
])

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
    else conditions.push(...conditionsOf(word, value, not, words[i + 2] ?? ''))
    not = false
    // What belongs to a target comes last, and says nothing of which packets it is for.
    if (target) break
    if (word.startsWith('-') && !value.startsWith('-') && value !== '!') i++
  }
  return { conditions, actions }
}

const source = (not: boolean): Condition[] => [{ kind: 'source', empty: false, not }]

/** `198.51.100.0/24`, as iptables-save prints it. */
function sourceIn(value: string, not: boolean): Condition[] {
  if (!/^[0-9a-f.:]+(\/\d+)?$/i.test(value)) return source(not)
  const version = value.includes(':') ? 6 : 4
  return [{ kind: 'source', empty: false, not, version, prefixes: [value] }]
}

function conditionsOf(word: string, value: string, not: boolean, next: string): Condition[] {
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
      return states(value.toUpperCase().split(','), not)
    case '--ctstatus':
      return value.toUpperCase().split(',').includes('DNAT') ? [{ kind: 'translated', not }] : [{ kind: 'some' }]
    case '-i':
      return [{ kind: 'interface', names: [value.replace(/\+$/, '*')], not }]
    case '-s':
      return sourceIn(value, not)
    case '--src-range':
    case '--source-country':
    case '--src-cc':
    case '--mac-source':
    case '--rcheck':
    case '--update':
      return source(not)
    case '--match-set':
      return next.split(',').includes('src') ? source(not) : [{ kind: 'some' }]
    case '-d':
      return [{ kind: 'destination', prefixes: [value], not }]
    case '--dst-type':
      return value === 'LOCAL' && !not ? [] : [{ kind: 'some' }]
    case '--comment':
      return []
    case '-m':
      if (value === 'limit' || value === 'hashlimit') return [{ kind: 'rate' }]
      return silent.has(value) ? [] : [{ kind: 'some' }]
    default:
      return /^--(limit|hashlimit|set$|name$|mask$|rsource$|seconds$|hitcount$)|^[^-]/.test(word)
        ? []
        : [{ kind: 'some' }]
  }
}

/** conntrack has DNAT as a state, too. */
function states(words: readonly string[], not: boolean): Condition[] {
  if (words.some(word => word === 'NEW' || word === 'UNTRACKED')) return not ? [{ kind: 'never' }] : []
  if (words.includes('DNAT')) return [{ kind: 'translated', not }]
  return not ? [] : [{ kind: 'never' }]
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
      return [destination(option('--to-destination') ?? '')]
    case 'REDIRECT':
      return [{ kind: 'redirect', port: portAfter(/^(\d+)/, option('--to-ports')) }]
    case 'NFQUEUE':
      return [{ kind: 'queue', number: Number(option('--queue-num') ?? 0) }]
    case 'MARK': {
      const [value = '0', mask = '0xffffffff'] = (option('--set-xmark') ?? option('--set-mark') ?? '0').split('/')
      return [{ kind: 'mark', bits: (Number(value) & Number(mask)) >>> 0 }]
    }
    case 'CONNMARK': {
      // wg-quick restores its number, which it compares whole, on replies to its own port.
      if (!words.includes('--restore-mark') || words.some(word => word.includes('wg-quick(8)'))) return []
      return [{ kind: 'mark', bits: Number(option('--nfmask') ?? option('--mask') ?? '0xffffffff') >>> 0 }]
    }
    case 'LOG':
    case 'NFLOG':
    case 'TRACE':
    case 'MASQUERADE':
    case 'SNAT':
    case 'CT':
    case 'TCPMSS':
      return []
    default:
      return [{ kind: word === '-g' ? 'goto' : 'jump', chain: target }]
  }
}

/** `192.0.2.1`, `192.0.2.1-192.0.2.9:80-90`, `[2001:db8::1]:80` or `:80`. */
function destination(text: string): Action {
  const [, bracketed, plain, port] = /^(?:\[([^\]-]+)[^\]]*\]|([^:-]*)[^:]*)(?::(\d+).*)?$/.exec(text) ?? []
  const address = bracketed ?? plain ?? (/^[0-9a-f:]+$/.test(text) ? text : '')
  return { kind: 'dnat', address: address || null, port: port === undefined ? null : Number(port) }
}

function portAfter(pattern: RegExp, text: string | undefined): number | null {
  const digits = pattern.exec(text ?? '')?.[1]
  return digits === undefined ? null : Number(digits)
}
