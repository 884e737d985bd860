import { Command } from 'commander'
import { parseWindow } from '../../config/values.js'
import { parseAddress } from '../../net/index.js'
import type { Terminal } from '../../util/index.js'
import { report, withChangeFlags } from '../change.js'
import type { GrantFlags } from '../grant-change.js'
import { changeGrant, serviceOf } from '../grant-change.js'

interface AddFlags extends GrantFlags {
  readonly for?: string
}

export function addCommand(terminal: Terminal): Command {
  const command = new Command('add')
    .description('grant an address access, for a time or until you delete it; repeat to restart the time')
    .argument('<address>', 'IPv4 or IPv6 address')
    .option('--service <name>', 'service that it may use')
    .option('--for <time>', 'how long: seconds, or 30s, 10m, 8h, 2d (default: without end)')
  return withChangeFlags(command).action(async (text: string, flags: AddFlags) => {
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
