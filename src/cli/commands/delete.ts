import { Command } from 'commander'
import { parseGranted } from '../../net/index.js'
import type { Terminal } from '../../util/index.js'
import { report, withChangeFlags } from '../changes/change.js'
import { fleetJson, fleetText, throwUntold } from '../changes/fleet-change.js'
import type { GrantFlags } from '../changes/grant-change.js'
import { changeGrant, fleetFlag, serviceOf } from '../changes/grant-change.js'
import { revokedText } from '../output/service-text.js'

export function deleteCommand(terminal: Terminal): Command {
  const command = new Command('delete')
    .description('revoke the grants of an address, by knock or by hand')
    .usage('<address> [options]')
    .argument('<address>', 'IPv4 or IPv6 address, or prefix')
    .option('--service <name>', 'service that it may no longer use (default: the only one)')
    .option(...fleetFlag)
  return withChangeFlags(command).action(async (text: string, flags: GrantFlags) => {
    const { version, source: address } = parseGranted(text)
    const service = await serviceOf(flags)
    const change = await changeGrant(flags, { request: 'delete', service, address }, firewall =>
      firewall.deleteGrant(service, version, address),
    )
    const { fleet } = change
    const here = change.changed || fleet ? revokedText(address, service) : `${address} has no grant for ${service}`
    const record = fleet ? undefined : ({ action: 'delete', service, source: address } as const)
    const result = { ...change, changed: change.changed || fleet !== undefined }
    const what = { service, address, ...fleetJson(fleet) }
    await report(terminal, flags, what, result, `${here}${fleetText(fleet)}`, record)
    throwUntold(fleet)
  })
}
