import { Command } from 'commander'
import type { ServiceState } from '../../nft/index.js'
import { noServiceHint, parseGrantComment, realFirewall } from '../../nft/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultSocket, durationText, oneLine, UserError } from '../../util/index.js'
import { checkServiceName } from '../flags/flag-values.js'
import { jsonText } from '../output/json-output.js'
import { listFleet } from '../output/list-fleet.js'
import { kernelOrDaemon } from '../changes/kernel-or-daemon.js'
import { portsText, serviceSummary } from '../output/service-text.js'

export function listCommand(terminal: Terminal): Command {
  return new Command('list')
    .description('show services and grants, as they stand in the kernel')
    .argument('[name]', 'only this service')
    .option('--json', 'print one JSON object')
    .option('--fleet', 'the grants of all servers of the fleet, as this one knows them')
    .option('--socket <path>', 'where the daemon is asked by users without rights to the kernel', defaultSocket)
    .action(async (name: string | undefined, flags: { json?: boolean; fleet?: boolean; socket: string }) => {
      if (name !== undefined) checkServiceName(name)
      if (flags.fleet) {
        await listFleet(terminal, name, flags)
        return
      }
      const services = await kernelOrDaemon(flags.socket, { request: 'list' }, async () => [
        ...(await realFirewall().services()).values(),
      ])
      const wanted = services.filter(({ spec }) => name === undefined || spec.name === name)
      if (name !== undefined && wanted.length === 0) {
        const names = services.map(({ spec }) => spec.name)
        throw new UserError(`there is no service ${name}`, noServiceHint(name, names))
      }
      if (flags.json) terminal.out(jsonText({ services: wanted.map(asJson) }))
      else if (wanted.length === 0) terminal.out('no services; pkctl init NAME --port PORT makes one')
      else for (const state of wanted) print(terminal, state)
    })
}

function asJson({ spec, sound, grants, refusedPackets, admittedPackets }: ServiceState) {
  const { singleUse, failOpen, ...rest } = spec
  return {
    ...rest,
    'single-use': singleUse,
    'fail-open': failOpen,
    sound,
    refusedPackets,
    admittedPackets,
    grants: grants.map(grantJson),
  }
}

const grantJson = ({ comment, ...grant }: ServiceState['grants'][number]) => ({
  ...grant,
  ...parseGrantComment(comment),
})

function print(terminal: Terminal, { spec, sound, grants, refusedPackets, admittedPackets }: ServiceState): void {
  terminal.out(`${terminal.strong(spec.name)}  ${portsText(spec)}  ${serviceSummary(spec)}`)
  if (!sound) terminal.out(`  damaged: the rules were changed; pkctl init or pkctl reload restores them`)
  terminal.out(
    `  packets: ${admittedPackets} accepted, ${refusedPackets} ${spec.closing === 'accept' ? 'watched' : 'refused'}`,
  )
  if (spec.allow.length > 0) terminal.out(`  always:  ${spec.allow.join(' ')}`)
  for (const { source, by, secondsLeft, comment } of grants) {
    const left = secondsLeft === null ? 'without a time limit' : `${durationText(secondsLeft)} left`
    // Of elements that other programs made, a comment may be anything.
    const said = parseGrantComment(comment) ? `  ${oneLine(comment ?? '')}` : ''
    terminal.out(`  granted: ${source}  ${left}  by ${by}${said}`)
  }
  if (grants.length === 0) terminal.out('  granted: none')
}
