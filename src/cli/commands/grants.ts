import { Command } from 'commander'
import { parseWindow } from '../../config/values.js'
import type { Message } from '../../daemon/requests.js'
import { parseAddress } from '../../net/addresses.js'
import { realFirewall } from '../../nft/kernel-firewall.js'
import type { Change, Firewall } from '../../nft/reconcile/firewall.js'
import type { Terminal } from '../../util/terminal.js'
import { usageError } from '../../util/user-error.js'
import type { ChangeFlags } from '../change.js'
import { report, withChangeFlags } from '../change.js'
import { kernelOrDaemon } from '../kernel-or-daemon.js'
import { checkName } from './services.js'

interface GrantFlags extends ChangeFlags {
  readonly service?: string
  readonly for?: string
}

function serviceOf({ service }: GrantFlags): string {
  if (service === undefined) throw usageError('--service is missing', 'pkctl list shows the services there are')
  return checkName(service)
}

/** By the daemon where the rights are missing, which cannot be asked what it would do. */
function changeGrant(flags: GrantFlags, message: Message, work: (firewall: Firewall) => Promise<Change>) {
  const firewall = realFirewall(flags)
  return flags.dryRun ? work(firewall) : kernelOrDaemon(flags.socket, message, () => work(firewall))
}

export function addCommand(terminal: Terminal): Command {
  const command = new Command('add')
    .description('let an address in, until it is deleted or for a time; again, give it that time anew')
    .argument('<address>', 'IPv4 or IPv6 address')
    .option('--service <name>', 'service that it may use')
    .option('--for <time>', 'how long: seconds, or 30s, 10m, 8h, 2d (default: without end)')
  return withChangeFlags(command).action(async (text: string, flags: GrantFlags) => {
    const service = serviceOf(flags)
    const { version, address } = parseAddress(text)
    const seconds = flags.for === undefined ? null : parseWindow(flags.for)
    const change = await changeGrant(flags, { request: 'add', service, address, seconds }, firewall =>
      firewall.addGrant(service, version, address, seconds),
    )
    const time = seconds === null ? '' : ` for ${seconds} s`
    const sentence = change.changed
      ? `${address} may use ${service}${time}`
      : `${address} may use ${service} already, without end`
    report(terminal, flags, { service, address, seconds }, change, sentence)
  })
}

export function deleteCommand(terminal: Terminal): Command {
  const command = new Command('delete')
    .description('take back what an address was granted, by knock or by hand')
    .argument('<address>', 'IPv4 or IPv6 address')
    .option('--service <name>', 'service that it may no longer use')
  return withChangeFlags(command).action(async (text: string, flags: GrantFlags) => {
    const service = serviceOf(flags)
    const { version, address } = parseAddress(text)
    const change = await changeGrant(flags, { request: 'delete', service, address }, firewall =>
      firewall.deleteGrant(service, version, address),
    )
    const sentence = change.changed
      ? `${address} may no longer use ${service}`
      : `${address} has no grant for ${service}`
    report(terminal, flags, { service, address }, change, sentence)
  })
}
