/** Rules of iptables, as commands and as iptables-save print them: which options they have, and what is none of ours. */
import type { PortRange } from '../net/index.js'
import type { PortProtocol } from './service-ports.js'
import { readIptablesPorts } from './service-ports.js'

export interface IptablesRule {
  /** `append`, `insert`, `delete`, or another command's letter. */
  readonly action: string
  readonly chain: string
  /** By their long names, with the words behind them. */
  readonly options: ReadonlyMap<string, readonly string[]>
  readonly matches: readonly string[]
  /** Options with a ! before them, which is among the odd words. */
  readonly negated: ReadonlySet<string>
  /**
   * Words that were not understood; with any of them, the rule may mean something else. Those after a key, of which they
   * may be a part, are not shown.
   */
  readonly odd: readonly string[]
}

const actions: Readonly<Record<string, string>> = {
  '-A': 'append',
  '--append': 'append',
  '-I': 'insert',
  '--insert': 'insert',
  '-D': 'delete',
  '--delete': 'delete',
}

const longNames: Readonly<Record<string, string>> = {
  '-t': '--table',
  '-w': '--wait',
  '-s': '--source',
  '--src': '--source',
  '-d': '--destination',
  '--dst': '--destination',
  '-i': '--in-interface',
  '-o': '--out-interface',
  '-p': '--protocol',
  '--proto': '--protocol',
  '-j': '--jump',
  '-m': '--match',
  '-c': '--set-counters',
  '--source-port': '--sport',
  '--destination-port': '--dport',
  '--destination-ports': '--dports',
  '--state': '--ctstate',
}

/** How many words follow. */
const known: Readonly<Record<string, 0 | 1 | 2>> = {
  '--table': 1,
  '--source': 1,
  '--destination': 1,
  '--in-interface': 1,
  '--protocol': 1,
  '--jump': 1,
  '--match': 1,
  '--dport': 1,
  '--sport': 1,
  '--dports': 1,
  '--ctstate': 1,
  '--comment': 1,
  '--set-counters': 2,
  '--syn': 0,
  '--tcp-flags': 2,
  '--hitcount': 1,
  '--reject-with': 1,
  '--name': 1,
  '--mask': 1,
  '--set': 0,
  '--rcheck': 0,
  '--update': 0,
  '--rsource': 0,
  '--rttl': 0,
  '--seconds': 1,
  '--key': 1,
  '--tag': 1,
  '--window': 1,
}

/**
 * These change nothing about who has access: how the rule is printed, in the files of which version of IP it counts, and when
 * `recent` forgets entries that are too old already.
 */
const withoutEffect = ['-v', '--verbose', '-n', '--numeric', '-4', '--ipv4', '-6', '--ipv6', '--reap']

/** More than a rule of iptables can have in earnest. */
const maxWords = 500

/** The words of a line of iptables-save, which has quotes and nothing else of a shell. */
export const savedWords = (line: string): string[] =>
  (line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []).map(word =>
    /^".*"$/s.test(word) ? word.slice(1, -1).replace(/\\(.)/gs, '$1') : word,
  )

/** Reads the words behind the program's name. */
export function readIptablesRule(words: readonly string[]): IptablesRule {
  if (words.length > maxWords)
    return { action: '', chain: '', options: new Map(), matches: [], negated: new Set(), odd: ['too many words'] }
  const left = words.flatMap(word => {
    const [, option, value] = /^(--[a-z-]+)=(.*)$/s.exec(word) ?? []
    return option !== undefined && value !== undefined ? [option, value] : [word]
  })
  const options = new Map<string, readonly string[]>()
  const matches: string[] = []
  const negated = new Set<string>()
  const odd: string[] = []
  let action = ''
  let chain = ''
  let isAfterKey = false
  while (left.length > 0) {
    const word = left.shift() as string
    const option = longNames[word] ?? word
    if (Object.hasOwn(actions, word) && action === '') {
      action = actions[word] as string
      chain = left.shift() ?? ''
      if (action === 'insert' && /^\d+$/.test(left[0] ?? '')) left.shift()
    } else if (option === '--wait') {
      if (/^\d+$/.test(left[0] ?? '')) left.shift()
    } else if (withoutEffect.includes(word)) continue
    else if (option === '--match') matches.push(left.shift() ?? '')
    else if (!Object.hasOwn(known, option) || options.has(option)) {
      odd.push(isAfterKey && !['!', '--remove'].includes(word) ? 'a word after --key' : word)
      isAfterKey ||= option === '--key'
    } else {
      options.set(option, left.splice(0, known[option]))
      isAfterKey = option === '--key'
    }
    const next = left[0] ?? ''
    if (word === '!') negated.add(longNames[next] ?? next)
  }
  return { action, chain, options, matches, negated, odd }
}

export const valueOf = ({ options }: IptablesRule, option: string): string | undefined => options.get(option)?.[0]

/** Whether the start of a connection is among what the rule is about. */
export const isAboutNew = (rule: IptablesRule): boolean =>
  (valueOf(rule, '--ctstate') ?? 'NEW').toUpperCase().split(',').includes('NEW') && isAboutSyn(rule)

/** Of the flags that are looked at, the one that must be set is that of a new connection, as `--syn` is printed. */
function isAboutSyn({ options }: IptablesRule): boolean {
  const [mask = 'ALL', set = 'SYN'] = options.get('--tcp-flags') ?? []
  return set.toUpperCase() === 'SYN' && ['ALL', 'SYN'].some(flag => mask.toUpperCase().split(',').includes(flag))
}

/** What a rule asks of a packet beyond its list and port, as far as packets of clients can lack it; with its values. */
export function conditionsOf(rule: IptablesRule): string[] {
  const source = valueOf(rule, '--sport')
  const isOfClients = source === undefined || /^(0|1|1024)?:(65535)?$/.test(source)
  return [...(isOfClients ? [] : [`--sport ${source}`]), ...rule.odd]
}

/** An option that names addresses; undefined for all of them. */
export function addressesOf(rule: IptablesRule, option: '--source' | '--destination'): string | undefined {
  const value = valueOf(rule, option)
  return value !== undefined && /^([0.]+|::)\/0(\.0\.0\.0)?$/.test(value) ? undefined : value
}

const protocols: Readonly<Record<string, PortProtocol>> = {
  tcp: 'tcp',
  udp: 'udp',
  sctp: 'sctp',
  '6': 'tcp',
  '17': 'udp',
  '132': 'sctp',
}

/** The ports that a rule is about, or what it lacks. */
export function portsOfRule(rule: IptablesRule): { protocol: PortProtocol; ports: PortRange[] } | string {
  const given = valueOf(rule, '--protocol')?.toLowerCase() ?? ''
  const protocol = Object.hasOwn(protocols, given) ? protocols[given] : undefined
  if (protocol === undefined) return 'it does not say tcp, udp or sctp'
  const text = valueOf(rule, '--dport') ?? valueOf(rule, '--dports')
  if (text === undefined) return 'it names no port'
  if (rule.options.has('--dport') && rule.options.has('--dports')) return 'it names ports in two ways'
  const ports = readIptablesPorts(text, protocol)
  return ports ? { protocol, ports } : 'its port is not known here'
}
