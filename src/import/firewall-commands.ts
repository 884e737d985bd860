/** Commands of other firewalls that let one address in, as they stand in knockd.conf; %IP% is the address. */
import * as path from 'node:path'
import type { OpenedPorts } from './draft-entries.js'
import type { IptablesRule } from './iptables.js'
import { isAboutNew, portsOfRule, readRule, valueOf } from './iptables.js'
import type { Protocol } from './service-ports.js'
import { portOf, portsOf } from './service-ports.js'
import { literalWords } from './shell-words.js'

export interface FirewallCommand {
  readonly action: 'open' | 'close'
  readonly opens: readonly OpenedPorts[]
  /** A service of pktables or pkctl. */
  readonly service?: string
  /** Seconds after which it ends by itself. */
  readonly seconds?: number
  /** What it is limited to there, and not here. */
  readonly limits: readonly string[]
}

const ip = '%IP%'

type Reader = (words: readonly string[]) => FirewallCommand | undefined

/** What the line does, if it is plain that it opens or closes ports for %IP% and does nothing else. */
export function readFirewallCommand(line: string): FirewallCommand | undefined {
  const [program = '', ...words] = withoutSudo(literalWords(line) ?? [])
  const name = path.basename(program)
  if (/^ip6?tables(-nft|-legacy)?$/.test(name)) return fromIptables(words)
  return Object.hasOwn(readers, name) ? readers[name]?.(words) : undefined
}

const withoutSudo = (words: readonly string[]) => (path.basename(words[0] ?? '') === 'sudo' ? words.slice(1) : words)

function fromIptables(words: readonly string[]): FirewallCommand | undefined {
  const rule = readRule(words)
  const action = ({ append: 'open', insert: 'open', delete: 'close' } as const)[rule.action]
  const isPlain = rule.odd.length === 0 && ['filter', undefined].includes(valueOf(rule, '--table')) && isHarmless(rule)
  const isForAddress = [ip, `${ip}/32`, `${ip}/128`].includes(valueOf(rule, '--source') ?? '')
  const isAccepted = rule.chain === 'INPUT' && valueOf(rule, '--jump') === 'ACCEPT'
  const ports = portsOfRule(rule)
  if (action === undefined || !isPlain || !isForAddress || !isAccepted || typeof ports === 'string') return undefined
  const limits = [
    ['--in-interface', 'interface'],
    ['--destination', 'destination'],
  ].flatMap(([option = '', what = '']) => {
    const value = valueOf(rule, option)
    return value === undefined ? [] : [`${what} ${value}`]
  })
  return { action, opens: [ports], limits }
}

const harmless = ['tcp', 'udp', 'sctp', 'multiport', 'state', 'conntrack', 'comment']
const isHarmless = (rule: IptablesRule) =>
  rule.matches.every(match => harmless.includes(match)) &&
  isAboutNew(rule) &&
  ['--set', '--rcheck', '--update', '--key', '--tag', '--window'].every(option => !rule.options.has(option))

/** `nft add rule inet filter input ip saddr %IP% tcp dport 22 accept` */
function fromNft(words: readonly string[]): FirewallCommand | undefined {
  const text = words
    .join(' ')
    .replace(/ counter(?= )/, '')
    .replace(/ ct state new(?= )/, '')
  const pattern =
    /^(?:add|insert) rule (?:ip|ip6|inet) \S+ (?:input|INPUT) (?:ip6?) saddr %IP% (tcp|udp|sctp) dport (\{ ?[\w, -]+ ?\}|[\w-]+) accept$/
  const [, protocol = '', given = ''] = pattern.exec(text) ?? []
  const ports = portsOf(given.replace(/[{} ]/g, '').replaceAll('-', ':'), protocol as Protocol)
  return protocol === '' || !ports ? undefined : opening('open', protocol as Protocol, ports)
}

const opening = (action: 'open' | 'close', protocol: Protocol, ports: OpenedPorts['ports']): FirewallCommand => ({
  action,
  opens: [{ protocol, ports }],
  limits: [],
})

/** `ufw allow from %IP% to any port 22 proto tcp`, in any order that ufw takes. */
function fromUfw(words: readonly string[]): FirewallCommand | undefined {
  const text = words
    .join(' ')
    .replace(/^--force /, '')
    .replace(/^(insert \d+|prepend) /, '')
    .replace(/ comment .*$/, '')
  const [, remove, rest = ''] = /^(delete )?allow (?:in )?(.*)$/.exec(text) ?? []
  const [, before, port = '', after] =
    /^(?:proto (tcp|udp) )?from %IP% to any port ([\w:,]+)(?: proto (tcp|udp))?$/.exec(rest) ?? []
  const given = before ?? after
  const protocols: readonly Protocol[] = given === undefined ? ['tcp', 'udp'] : [given as Protocol]
  // Of a port by name, those that know it.
  const opens = protocols.flatMap(protocol => {
    const ports = portsOf(port, protocol)
    return ports ? [{ protocol, ports }] : []
  })
  const isTwice = before !== undefined && after !== undefined
  if (rest === '' || port === '' || opens.length === 0 || isTwice) return undefined
  return { action: remove === undefined ? 'open' : 'close', opens, limits: [] }
}

/** `firewall-cmd --add-rich-rule='rule family="ipv4" source address="%IP%" port port="22" protocol="tcp" accept'` */
function fromFirewalld(words: readonly string[]): FirewallCommand | undefined {
  const left = words.flatMap((word, i) => {
    const [, option, value] = /^(--(?:add|remove)-rich-rule)=?(.*)$/s.exec(word) ?? []
    return option === undefined ? [] : [{ option, rule: value === '' ? (words[i + 1] ?? '') : (value ?? '') }]
  })
  const timeout = words.map(word => /^--timeout=(\d+)([smh]?)$/.exec(word)).find(found => found !== null)
  const others = words.filter(word => !/^--(zone|timeout|(add|remove)-rich-rule)(=|$)|^rule /.test(word))
  const [only] = left
  if (!only || left.length > 1 || others.some(word => word !== '-q' && word !== '--quiet')) return undefined
  const pattern =
    /^rule (?:priority="?-?\d+"? )?(?:family="?ipv[46]"? )?source address="?%IP%(?:\/32|\/128)?"? (?:port port="?(\d+(?:-\d+)?)"? protocol="?(tcp|udp|sctp)"?|service name="?([\w-]+)"?) accept$/
  const [, port, protocol = 'tcp', service = ''] = pattern.exec(only.rule.trim()) ?? []
  const number = port ?? portOf(service, 'tcp')
  const ports = number === undefined ? undefined : portsOf(String(number).replace('-', ':'), protocol as Protocol)
  if (!ports) return undefined
  const zones = words.filter(word => word.startsWith('--zone=')).map(word => `zone ${word.slice(7)}`)
  const action = only.option.startsWith('--add') ? 'open' : 'close'
  const command = { ...opening(action, protocol as Protocol, ports), limits: zones }
  const unit = { s: 1, m: 60, h: 3600, '': 1 }[timeout?.[2] ?? ''] ?? 1
  return timeout ? { ...command, seconds: Number(timeout[1]) * unit } : command
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
  return /^%IP%(\/\d+)?$/.test(others[0] ?? '') ? { action, opens: [], service, limits: [] } : undefined
}

const readers: Readonly<Record<string, Reader>> = {
  nft: fromNft,
  ufw: fromUfw,
  'firewall-cmd': fromFirewalld,
  pktables: fromPktables,
  pkctl: fromPktables,
}
