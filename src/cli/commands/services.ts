import { Command, Option } from 'commander'
import { kernelLogLevels, namePattern, nameRule, parsePacketRate, parseWindow } from '../../config/values.js'
import { formatPorts, parsePorts } from '../../net/ports.js'
import { parsePrefix, withoutContained } from '../../net/prefixes.js'
import type { Hook } from '../../nft/json.js'
import { realFirewall } from '../../nft/kernel-firewall.js'
import type { ServicePlan } from '../../nft/reconcile/service-plan.js'
import { hooks } from '../../nft/table/gate.js'
import type { ServiceGrant } from '../../nft/table/grant-elements.js'
import type { Closing, LogRule, Protocol, ServiceSpec } from '../../nft/table/service-spec.js'
import { defaultWindowSeconds, protocols } from '../../nft/table/service-spec.js'
import type { LockoutFlags } from '../../safety/lockout.js'
import { allowedJson, guardSession, hintAtAllowed } from '../../safety/lockout.js'
import type { Terminal } from '../../util/terminal.js'
import { usageError } from '../../util/user-error.js'
import type { ChangeFlags } from '../change.js'
import { report, tellDaemon, withChangeFlags } from '../change.js'
import { withLockoutFlags } from '../lockout-flags.js'

/** A service as flags say it. */
export interface ServiceFlags {
  readonly port?: readonly string[]
  readonly udp?: boolean
  readonly syn?: boolean
  readonly protocol?: Protocol
  readonly accept?: boolean
  readonly reject?: 'drop' | 'reset' | 'icmp'
  readonly log?: boolean
  readonly logPrefix?: string
  readonly logLevel?: string
  readonly logLimit?: string
  readonly logBurst?: string
  readonly window: string
  readonly singleUse?: boolean
  readonly failOpen?: boolean
  readonly allow?: readonly string[]
  readonly prefix4: string
  readonly prefix6: string
  readonly hook: Hook
}

type InitFlags = ServiceFlags & ChangeFlags & LockoutFlags

/** What holds where flags do not say otherwise. */
export const serviceDefaults = {
  window: String(defaultWindowSeconds),
  prefix4: '32',
  prefix6: '128',
  hook: 'input',
} as const

const initHelp = `
A source is let in when a knock or pkctl add grants it, or when --allow names it. Everyone else meets the last rule:
drop, unless --reject or --accept says otherwise. With --syn only the start of a connection is judged, so that running
connections outlive a grant; without it every packet is, and a connection ends when its grant does.

Examples:
  pkctl init ssh --port 22 --syn --allow 192.0.2.0/24
  pkctl init vpn --port 51820 --udp --window 10m
  pkctl init web --port 80,443,8000-8010 --syn --reject reset --log`

const collect = (value: string, before: readonly string[] = []) => [...before, value]

export function initCommand(terminal: Terminal): Command {
  const command = new Command('init')
    .description('close a port for all but those who are granted access; again with other options, change it')
    .argument('<name>', 'name of the service')
    .option('--port <ports>', 'port, range such as 6000-6010, or several with commas; may be repeated', collect)
    .addOption(new Option('--udp', 'the same as --protocol udp').conflicts(['syn', 'protocol']))
    .option('--syn', 'TCP, and judge only packets that start a connection')
    .addOption(new Option('--protocol <name>', 'protocol of the ports (default: tcp)').choices(protocols))
    .addOption(new Option('--accept', 'only watch: count and log, and let everyone in').conflicts('reject'))
    .addOption(new Option('--reject <how>', 'what strangers meet (default: drop)').choices(['drop', 'reset', 'icmp']))
    .option('--log', 'log packets of sources that have no grant')
    .option('--log-prefix <text>', 'text in front of each log line (default: "pk-NAME ")')
    .addOption(new Option('--log-level <level>', 'level of the log (default: info)').choices(kernelLogLevels))
    .option('--log-limit <rate>', 'at most so many lines: N/second, /minute, /hour, /day, or none (default: 5/minute)')
    .option('--log-burst <n>', 'lines in a row before the limit counts (default: 5)')
    .option('--window <time>', 'how long a grant by knock lasts: seconds, or 10m, 8h', serviceDefaults.window)
    .option('--single-use', 'a grant is used up by the first connection')
    .option('--fail-open', 'let everyone in while pkctld does not run')
    .option('--allow <prefixes>', 'address or prefix that is always let in, or several; may be repeated', collect)
    .option('--prefix4 <bits>', 'grant the whole IPv4 prefix of a source, 8 to 32', serviceDefaults.prefix4)
    .option('--prefix6 <bits>', 'grant the whole IPv6 prefix of a source, 16 to 128', serviceDefaults.prefix6)
    .addOption(
      new Option('--hook <hook>', 'where to judge; prerouting also guards ports published by DNAT')
        .choices(hooks)
        .default(serviceDefaults.hook),
    )
    .addHelpText('after', initHelp)
  return withChangeFlags(withLockoutFlags(command)).action(async (name: string, flags: InitFlags) => {
    const spec = serviceSpec(name, flags)
    const firewall = realFirewall(flags)
    let allowed: readonly ServiceGrant[] = []
    const prepare = async (plan: ServicePlan) => (allowed = await guardSession(terminal, firewall, flags, plan))
    const change = await firewall.apply({ specs: [spec], prepare })
    if (change.changed) warnOfCuts(terminal, spec)
    await tellDaemon(terminal, flags)
    const details = change.details.filter(detail => !detail.startsWith(`service ${name} added`)).join('; ')
    const sentence = change.changed
      ? `service ${name} guards ${portsText(spec)}${details ? ` (${details})` : ''}`
      : `service ${name} guards ${portsText(spec)} already`
    report(terminal, flags, { service: name, ...allowedJson(allowed) }, change, sentence)
    if (!flags.dryRun && !flags.json) hintAtAllowed(terminal, allowed)
  })
}

/** For those who run it from a connection of their own. */
export function warnOfCuts(terminal: Terminal, { protocol, syn, closing }: ServiceSpec): void {
  if (protocol !== 'tcp' || syn || closing === 'accept') return
  terminal.warn('without --syn every packet is judged: running connections of sources without a grant end now')
}

export function removeCommand(terminal: Terminal): Command {
  const command = new Command('remove')
    .description('take a service away: its port is open to everyone again')
    .argument('<name>', 'name of the service')
  return withChangeFlags(command).action(async (name: string, flags: ChangeFlags) => {
    const change = await realFirewall(flags).removeService(checkName(name))
    await tellDaemon(terminal, flags)
    const sentence = change.changed ? `service ${name} removed` : `there is no service ${name}`
    report(terminal, flags, { service: name }, change, sentence)
  })
}

export function checkName(name: string): string {
  if (!namePattern.test(name)) throw usageError(`'${name}' cannot be the name of a service`, `use ${nameRule}`)
  return name
}

export function portsText({ ports, protocol }: ServiceSpec): string {
  return `${formatPorts(ports)}/${protocol}`
}

export function serviceSpec(name: string, flags: ServiceFlags): ServiceSpec {
  if (!flags.port) throw usageError('--port is missing', 'pkctl init ssh --port 22 --syn')
  const protocol = flags.udp ? 'udp' : (flags.protocol ?? 'tcp')
  if (flags.syn && protocol !== 'tcp') {
    throw usageError(`--syn is for TCP, and the service is ${protocol}`, 'leave out --syn, or --protocol')
  }
  return {
    name: checkName(name),
    protocol,
    ports: parsePorts(flags.port.join(',')),
    syn: flags.syn ?? false,
    closing: closing(flags, protocol),
    window: parseWindow(flags.window),
    singleUse: flags.singleUse ?? false,
    failOpen: flags.failOpen ?? false,
    allow: withoutContained((flags.allow ?? []).flatMap(text => text.split(',')).map(parsePrefix)),
    prefix4: parseCount('--prefix4', flags.prefix4, 8, 32),
    prefix6: parseCount('--prefix6', flags.prefix6, 16, 128),
    hook: flags.hook,
    log: logRule(name, flags),
  }
}

function closing(flags: ServiceFlags, protocol: Protocol): Closing {
  if (flags.accept) return 'accept'
  if (flags.reject === 'reset' && protocol !== 'tcp' && protocol !== 'any') {
    throw usageError(`only TCP can be reset, and the service is ${protocol}`, 'use --reject icmp')
  }
  return flags.reject ?? 'drop'
}

function logRule(name: string, flags: ServiceFlags): LogRule | null {
  const { log, logPrefix, logLevel, logLimit, logBurst } = flags
  if (!log) {
    if (logPrefix ?? logLevel ?? logLimit ?? logBurst) throw usageError('--log-… says how to log, and --log is missing')
    return null
  }
  const prefix = logPrefix ?? `pk-${name} `
  if (!/^[\x20-\x7e]{0,63}$/.test(prefix) || /["\\]/.test(prefix)) {
    throw usageError('--log-prefix takes at most 63 printable characters, without double quotes and backslashes')
  }
  const rate = parsePacketRate(logLimit ?? '5/minute')
  const burst = parseCount('--log-burst', logBurst ?? '5', 1, 1_000_000)
  return { prefix, level: logLevel ?? 'info', rate, burst: rate ? burst : 0 }
}

/** A flag that takes a whole number. */
export function parseCount(flag: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw usageError(`${flag} takes a number from ${least} to ${most}, not '${text}'`)
  }
  return value
}
