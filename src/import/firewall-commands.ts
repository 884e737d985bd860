/** Commands of other firewalls that let one address in, as they stand in knockd.conf; %IP% is the address. */
import * as path from 'node:path'
import type { AllPorts, OpenedPorts } from './draft-entries.js'
import type { IptablesRule } from './iptables.js'
import { conditionsOf, isAboutNew, portsOfRule, readIptablesRule, valueOf } from './iptables.js'
import type { PortProtocol } from './service-ports.js'
import { portOf, readIptablesPorts } from './service-ports.js'

export interface FirewallCommand {
  readonly action: 'open' | 'close'
  readonly opens: readonly OpenedPorts[]
  /** Services of pktables or pkctl. */
  readonly services: readonly string[]
  /** All ports, of one protocol or of any; undefined for those in `opens`. */
  readonly all?: AllPorts
  /** Seconds after which it ends by itself. */
  readonly seconds?: number
  /** What it is limited to there, and not here. */
  readonly limits: readonly string[]
}

const ip = '%IP%'

type CommandReader = (words: readonly string[]) => FirewallCommand | undefined

/** What a command does, if it is plain that it opens or closes ports for %IP% and does nothing else. */
export function readFirewallCommand(given: readonly string[]): FirewallCommand | undefined {
  const [program = '', ...words] = withoutSudo(given)
  const name = path.basename(program)
  if (/^ip6?tables(-nft|-legacy)?$/.test(name)) return fromIptables(words)
  return Object.hasOwn(readers, name) ? readers[name]?.(words) : undefined
}

function withoutSudo(words: readonly string[]): readonly string[] {
  if (path.basename(words[0] ?? '') !== 'sudo') return words
  const program = words.findIndex((word, i) => i > 0 && !/^-[nEHS]+$/.test(word))
  return program < 0 ? [] : words.slice(program)
}

function fromIptables(words: readonly string[]): FirewallCommand | undefined {
  const rule = readIptablesRule(words)
  const action = ({ append: 'open', insert: 'open', delete: 'close' } as const)[rule.action]
  const isPlain =
    conditionsOf(rule).length === 0 && ['filter', undefined].includes(valueOf(rule, '--table')) && isHarmless(rule)
  const isForAddress = [ip, `${ip}/32`, `${ip}/128`].includes(valueOf(rule, '--source') ?? '')
  const isAccepted = rule.chain === 'INPUT' && valueOf(rule, '--jump') === 'ACCEPT'
  if (action === undefined || !isPlain || !isForAddress || !isAccepted) return undefined
  const all = allOfRule(rule)
  const ports = all === undefined ? portsOfRule(rule) : undefined
  if (typeof ports === 'string') return undefined
  const limits = [
    ['--in-interface', 'interface'],
    ['--destination', 'destination'],
  ].flatMap(([option = '', what = '']) => {
    const value = valueOf(rule, option)
    return value === undefined ? [] : [`${what} ${value}`]
  })
  return { action, opens: ports ? [ports] : [], services: [], limits, ...(all === undefined ? {} : { all }) }
}

/** Which ports a rule is about that leaves none out. */
function allOfRule(rule: IptablesRule): AllPorts | undefined {
  const protocol = (valueOf(rule, '--protocol') ?? 'all').toLowerCase()
  const given = ['--dport', '--dports'].flatMap(option => rule.options.get(option) ?? [])
  if (given.some(ports => !/^[01]?:(65535)?$/.test(ports) || ports === ':')) return undefined
  if (protocol === 'all' || protocol === '0') return given.length === 0 ? 'any' : undefined
  return isProtocol(protocol) ? protocol : undefined
}

const isProtocol = (text: string): text is PortProtocol => ['tcp', 'udp', 'sctp'].includes(text)

const harmless = ['tcp', 'udp', 'sctp', 'multiport', 'state', 'conntrack', 'comment']
const isHarmless = (rule: IptablesRule) =>
  rule.matches.every(match => harmless.includes(match)) &&
  isAboutNew(rule) &&
  ['--set', '--rcheck', '--update', '--rttl', '--hitcount', '--key', '--tag', '--window', '--reject-with'].every(
    option => !rule.options.has(option),
  )

/** `nft add rule inet filter input ip saddr %IP% tcp dport 22 accept` */
function fromNft(words: readonly string[]): FirewallCommand | undefined {
  const text = words
    .join(' ')
    .replace(/ counter(?= )/, '')
    .replace(/ ct state new(?= )/, '')
    .replace(/ accept comment .*$/, ' accept')
  const pattern =
    /^(?:add|insert) rule (?:ip|ip6|inet) \S+ (?:input|INPUT) (?:(?:position|index|handle) \d+ )?(?:ii?fname "?([\w.@-]+)"? )?(?:ip6?) saddr %IP% (?:(tcp|udp|sctp) dport (\{ ?[\w, -]+ ?\}|[\w-]+) )?accept$/
  const [found, name, protocol, given = ''] = pattern.exec(text) ?? []
  const limits = name === undefined ? [] : [`interface ${name}`]
  if (found === undefined) return undefined
  if (protocol === undefined) return openingAll('open', 'any', limits)
  const ports = readIptablesPorts(given.replace(/[{} ]/g, '').replaceAll('-', ':'), protocol as PortProtocol)
  return ports ? opening('open', [{ protocol: protocol as PortProtocol, ports }], limits) : undefined
}

type Action = FirewallCommand['action']

const opening = (action: Action, opens: readonly OpenedPorts[], limits: readonly string[] = []): FirewallCommand => ({
  action,
  opens,
  services: [],
  limits,
})

const openingAll = (action: Action, all: AllPorts, limits: readonly string[] = []): FirewallCommand => ({
  ...opening(action, [], limits),
  all,
})

/** `ufw allow from %IP% to any port 22 proto tcp`, in any order that ufw takes. */
function fromUfw(words: readonly string[]): FirewallCommand | undefined {
  const text = words
    .join(' ')
    .replace(/^--force /, '')
    .replace(/^(insert \d+|prepend) /, '')
    .replace(/ comment .*$/, '')
  const [, remove, rest = ''] = /^(delete )?allow (?:in )?(.*)$/.exec(text) ?? []
  const [found, name, before, to = 'any', port, after] =
    /^(?:on (\S+) )?(?:proto (tcp|udp) )?from %IP%(?: to (\S+)(?: port ([\w:,]+))?)?(?: proto (tcp|udp))?$/.exec(
      rest,
    ) ?? []
  const isTwice = before !== undefined && after !== undefined
  if (found === undefined || isTwice) return undefined
  const limits = [...(name === undefined ? [] : [`interface ${name}`]), ...(to === 'any' ? [] : [`destination ${to}`])]
  const action = remove === undefined ? 'open' : 'close'
  const given = (before ?? after) as PortProtocol | undefined
  if (port === undefined) return openingAll(action, given ?? 'any', limits)
  // Of a port by name, those that know it.
  const opens = (given === undefined ? (['tcp', 'udp'] as const) : [given]).flatMap(protocol => {
    const ports = readIptablesPorts(port, protocol)
    return ports ? [{ protocol, ports }] : []
  })
  return opens.length === 0 ? undefined : opening(action, opens, limits)
}

/** `firewall-cmd --add-rich-rule='rule family="ipv4" source address="%IP%" port port="22" protocol="tcp" accept'` */
function fromFirewalld(words: readonly string[]): FirewallCommand | undefined {
  const left = words.flatMap((word, i) => {
    const [, option, value] = /^(--(?:add|remove)-(?:rich-rule|source))=?(.*)$/s.exec(word) ?? []
    return option === undefined ? [] : [{ option, rule: (value === '' ? (words[i + 1] ?? '') : (value ?? '')).trim() }]
  })
  const timeout = words.map(word => /^--timeout=(\d+)([smh]?)$/.exec(word)).find(found => found !== null)
  const others = words.filter(
    word => !/^--(zone|timeout|(add|remove)-(rich-rule|source))(=|$)|^rule |^%IP%/.test(word) && !isQuiet(word),
  )
  const [only] = left
  if (!only || left.length > 1 || others.length > 0) return undefined
  const zones = words.filter(word => word.startsWith('--zone=')).map(word => word.slice(7))
  const action = only.option.startsWith('--add') ? 'open' : 'close'
  const limits = zones.map(zone => `zone ${zone}`)
  const what = only.option.endsWith('source') ? ofSource(only.rule, zones) : ofRichRule(only.rule)
  if (what === undefined) return undefined
  const command = what === 'any' ? openingAll(action, what) : { ...opening(action, [what]), limits }
  const unit = { s: 1, m: 60, h: 3600, '': 1 }[timeout?.[2] ?? ''] ?? 1
  return timeout ? { ...command, seconds: Number(timeout[1]) * unit } : command
}

const isQuiet = (word: string) => word === '-q' || word === '--quiet'

/** The zone of those who may do all. */
const ofSource = (source: string, zones: readonly string[]): 'any' | undefined =>
  /^%IP%(\/32|\/128)?$/.test(source) && zones.join() === 'trusted' ? 'any' : undefined

function ofRichRule(rule: string): OpenedPorts | 'any' | undefined {
  const pattern =
    /^rule (?:priority="?-?\d+"? )?(?:family="?ipv[46]"? )?source address="?%IP%(?:\/32|\/128)?"? (?:port port="?(\d+(?:-\d+)?)"? protocol="?(tcp|udp|sctp)"? |service name="?([\w-]+)"? )?accept$/
  const [found, port, protocol = 'tcp', service] = pattern.exec(rule) ?? []
  if (found === undefined) return undefined
  if (port === undefined && service === undefined) return 'any'
  const number = port ?? portOf(service ?? '', 'tcp')
  const ports =
    number === undefined ? undefined : readIptablesPorts(String(number).replace('-', ':'), protocol as PortProtocol)
  return ports && { protocol: protocol as PortProtocol, ports }
}

/** `pktables add %IP% --service ssh`, in either order; pkctl has the same words. */
function fromPktables(words: readonly string[]): FirewallCommand | undefined {
  const [verb, ...rest] = words.flatMap(word =>
    word.startsWith('--service=') ? ['--service', word.slice(10)] : [word],
  )
  const at = rest.indexOf('--service')
  const service = rest[at + 1]
  const others = rest.filter((_, i) => at < 0 || (i !== at && i !== at + 1))
  const action = ({ add: 'open', delete: 'close' } as const)[verb ?? '']
  if (action === undefined || at < 0 || service === undefined || others.length !== 1) return undefined
  return /^%IP%(\/\d+)?$/.test(others[0] ?? '') ? { ...opening(action, []), services: [service] } : undefined
}

const readers: Readonly<Record<string, CommandReader>> = {
  nft: fromNft,
  ufw: fromUfw,
  'firewall-cmd': fromFirewalld,
  pktables: fromPktables,
  pkctl: fromPktables,
}
