import { Command } from 'commander'
import type { FleetAnswer } from '../../fleet/index.js'
import { askOrExplain } from '../../daemon/control-client.js'
import type { Terminal } from '../../util/index.js'
import { defaultSocket } from '../../util/index.js'
import { fleetLines } from '../output/fleet-text.js'
import { jsonText } from '../output/json-output.js'

const help = `
Servers of a fleet share grants: see 'fleet' in the configuration.

Examples:
  pkctl fleet status
  pkctl list --fleet`

interface FleetFlags {
  readonly json?: boolean
  readonly socket: string
}

export function fleetCommand(terminal: Terminal): Command {
  const command = new Command('fleet')
    .description('show the servers that share grants with this one')
    .addHelpText('after', help)
  return command.addCommand(statusOf(terminal))
}

const statusOf = (terminal: Terminal) =>
  new Command('status')
    .description('show the servers, when they were heard, what they share, and what is wrong')
    .option('--json', 'print one JSON object')
    .option('--socket <path>', "the daemon's socket", defaultSocket)
    .action(async ({ json, socket }: FleetFlags) => {
      const { status } = (await askOrExplain(socket, 'fleet')) as FleetAnswer
      if (json) terminal.out(jsonText({ ...status }))
      else for (const line of fleetLines(status, Date.now())) terminal.out(line)
    })
