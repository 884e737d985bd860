import { Command } from 'commander'
import type { FleetAnswer } from '../../fleet/index.js'
import { askOrExplain } from '../../daemon/control-client.js'
import type { Terminal } from '../../util/index.js'
import { defaultSocket, durationText } from '../../util/index.js'
import { fleetLines } from '../output/fleet-text.js'
import { jsonText } from '../output/json-output.js'

const help = `
Servers of a fleet share grants: see 'fleet' in the configuration.

Examples:
  pkctl fleet status
  pkctl fleet list`

interface FleetFlags {
  readonly json?: boolean
  readonly socket: string
}

export function fleetCommand(terminal: Terminal): Command {
  const command = new Command('fleet')
    .description('show the servers that share grants with this one')
    .addHelpText('after', help)
  return command.addCommand(statusOf(terminal)).addCommand(listOf(terminal))
}

const withFlags = (command: Command) =>
  command.option('--json', 'print one JSON object').option('--socket <path>', "the daemon's socket", defaultSocket)

const answerOf = async (socket: string) => (await askOrExplain(socket, 'fleet')) as FleetAnswer

const statusOf = (terminal: Terminal) =>
  withFlags(new Command('status'))
    .description('show the servers, when they were heard, what they share, and what is wrong')
    .action(async ({ json, socket }: FleetFlags) => {
      const { status } = await answerOf(socket)
      if (json) terminal.out(jsonText({ ...status }))
      else for (const line of fleetLines(status, Date.now())) terminal.out(line)
    })

const listOf = (terminal: Terminal) =>
  withFlags(new Command('list'))
    .description('show the grants that the fleet shares, and which server has made each')
    .action(async ({ json, socket }: FleetFlags) => {
      const { grants } = await answerOf(socket)
      if (json) terminal.out(jsonText({ grants }))
      else if (grants.length === 0) terminal.out('no grants are shared')
      else {
        for (const { source, service, by, node, secondsLeft } of grants)
          terminal.out(`${source}  ${service}  ${durationText(secondsLeft)} left  by ${by} at ${node}`)
      }
    })
