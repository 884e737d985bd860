/**
 * `pktables`, as knockd.conf and scripts at boot call it: the arguments of the program of that name, which kept its
 * lists in iptables, and its silence when all went well. What it makes are services and grants like all others.
 */
import { Command, Option } from 'commander'
import { levelOf, rateOf } from '../import/iptables-log.js'
import { parseAddress, parseSource } from '../net/index.js'
import { realFirewall } from '../nft/index.js'
import type { Terminal } from '../util/index.js'
import { defaultSocket, execute, usageError } from '../util/index.js'
import { tellDaemon } from './changes/change.js'
import { checkServiceName } from './flags/flag-values.js'
import { logChange } from './changes/log-change.js'
import { ownComment } from './changes/grant-note.js'
import type { ServiceFlags } from './flags/service-flags.js'
import { flagDefaults, serviceSpec, warnOfEndingConnections } from './flags/service-flags.js'
import { grantedText, protectsText, removedText, revokedText } from './output/service-text.js'
import { version } from './version.js'
import { listCommand } from './commands/list.js'

interface TablesFlags {
  readonly port: string
  readonly udp?: boolean
  readonly syn?: boolean
  readonly accept?: boolean
  readonly log?: boolean
  readonly logPrefix?: string
  readonly logLevel?: string
  readonly logLimit?: string
  readonly logBurst?: string
}

const help = `
At boot, for instance:
  pktables init ssh --port 22 --syn

And in knockd.conf:
  [opencloseSSH]
    sequence      = 29336,33115
    seq_timeout   = 10
    tcpflags      = syn
    start_command = pktables add %IP% --service ssh
    cmd_timeout   = 30
    stop_command  = pktables delete %IP% --service ssh

Services and grants are those of pkctl, which can do more with them: see pkctl help.`

export function createPktables(terminal: Terminal): Command {
  const program = new Command('pktables')
    .description('Services for knockd: ports that are closed for all but the addresses that were added.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', help)
  const commands = [initCommand, removeCommand, addCommand, deleteCommand, listCommand]
  for (const make of commands) {
    // There are no iptables commands to echo.
    program.addCommand(make(terminal).addOption(new Option('--debug', 'no effect').hideHelp()))
  }
  return program
}

function initCommand(terminal: Terminal): Command {
  return new Command('init')
    .description('close a port to all addresses that are not added; an existing service stays as it is')
    .argument('<name>', 'name of the service')
    .requiredOption('--port <port>', 'port, or range as 6000:6010')
    .addOption(new Option('--udp', 'UDP instead of TCP').conflicts('syn'))
    .option('--syn', 'filter only packets that start a TCP connection')
    .option('--accept', 'only watch: count and log, and accept every packet')
    .option('--log', 'log packets of addresses that were not added')
    .option('--log-prefix <text>', 'text in front of each log line (default: none)')
    .option('--log-level <level>', 'level of the log, as name or number (default: warning)')
    .option('--log-limit <rate>', 'maximum rate of lines: N/second, /minute, /hour or /day (default: no limit)')
    .option('--log-burst <n>', 'lines that can come at once before the limit applies (default: 5)')
    .action(async (name: string, flags: TablesFlags) => {
      const spec = serviceSpec(name, await serviceFlags(flags))
      const firewall = realFirewall()
      if ((await firewall.apply({ specs: [spec], onlyNew: true })).changed) {
        warnOfEndingConnections(terminal, spec)
        await tellDaemon(terminal, { socket: defaultSocket })
        return logChange(defaultSocket, protectsText(spec), { action: 'init', service: spec.name })
      }
      terminal.out(`chain pk-${name} already exists, nothing changed`)
      if ((await firewall.services()).get(name)?.sound === false) {
        terminal.warn(`the rules of ${name} were changed; pkctl init ${name} with its options restores them`)
      }
    })
}

function removeCommand(terminal: Terminal): Command {
  return new Command('remove')
    .description('remove a service: its port is open to every source again')
    .argument('<name>', 'name of the service')
    .action(async (name: string) => {
      const { changed, plan } = await realFirewall().removeService(checkServiceName(name))
      if (!changed) terminal.out(`there is no chain pk-${name}`)
      await tellDaemon(terminal, { socket: defaultSocket })
      for (const { spec } of changed ? plan.removed : [])
        await logChange(defaultSocket, removedText(spec), { action: 'remove', service: spec.name })
    })
}

function addCommand(): Command {
  return withAddress(new Command('add').description('grant an address access until you delete it')).action(
    async (text: string, { service }: { service: string }) => {
      const { version, address } = parseSource(withoutPrefix(text))
      const comment = await ownComment()
      const { changed } = await realFirewall().addGrant(
        ...([checkServiceName(service), version, address, null, false, comment] as const),
      )
      const record = { action: 'add', service, source: address, seconds: null } as const
      if (changed) await logChange(defaultSocket, grantedText(address, service, null), record)
    },
  )
}

function deleteCommand(): Command {
  return withAddress(new Command('delete').description('revoke the access of an address')).action(
    async (text: string, { service }: { service: string }) => {
      const { version, address } = parseAddress(withoutPrefix(text))
      const { changed } = await realFirewall().deleteGrant(checkServiceName(service), version, address)
      const record = { action: 'delete', service, source: address } as const
      if (changed) await logChange(defaultSocket, revokedText(address, service), record)
    },
  )
}

const withAddress = (command: Command) =>
  command
    .argument('<address>', 'IPv4 or IPv6 address; what follows a slash is cut off')
    .requiredOption('--service <name>', 'name of the service')

const withoutPrefix = (text: string) => text.replace(/\/.*/s, '')

// What iptables understood of these flags, in the words of `pkctl init`.

async function serviceFlags({ log, logPrefix, logLevel, logLimit, logBurst, ...flags }: TablesFlags) {
  const service: ServiceFlags = { ...flagDefaults, ...flags, port: [await portsOf(flags)] }
  if (!log) return service
  return {
    ...service,
    log,
    logPrefix: logPrefix ?? '',
    logLevel: levelOf(logLevel ?? 'warning'),
    logLimit: logLimit === undefined ? 'none' : rateOf(logLimit),
    ...(logBurst === undefined ? {} : { logBurst }),
  }
}

/** A port, the name of one, or a range whose ends may be left out: `22`, `isakmp`, `6000:6010`, `6000:`. */
async function portsOf({ port, udp }: Pick<TablesFlags, 'port' | 'udp'>): Promise<string> {
  const [, first, last] = /^(\d*):(\d*)$/.exec(port) ?? []
  if (first !== undefined && last !== undefined && port !== ':') return `${first || 1}-${last || 65_535}`
  if (!/^[a-z][a-z0-9-]*$/i.test(port)) return port
  const { stdout } = await execute('getent', ['services', `${port}/${udp ? 'udp' : 'tcp'}`])
  const number = /\s(\d+)\//.exec(stdout)?.[1]
  if (number !== undefined) return number
  throw usageError(`no port is known by the name ${port}`, 'give its number')
}
