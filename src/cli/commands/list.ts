import { Command } from 'commander'
import type { GrantOwner } from '../../controller/index.js'
import { prefixContains } from '../../net/index.js'
import type { ServiceState } from '../../nft/index.js'
import { noServiceHint, parseGrantComment, realFirewall } from '../../nft/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultSocket, durationText, oneLine, UserError } from '../../util/index.js'
import { askDaemon } from '../../daemon/control-client.js'
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
      const owners = wanted.some(({ grants }) => grants.length > 0) ? await grantOwners(flags.socket) : []
      const ownersOf = (state: ServiceState, grant: Grant) => owners.filter(one => isOwner(one, state, grant))
      if (flags.json) terminal.out(jsonText({ services: wanted.map(state => asJson(state, ownersOf)) }))
      else if (wanted.length === 0) terminal.out('no services; pkctl init NAME --port PORT makes one')
      else for (const state of wanted) print(terminal, state, ownersOf)
    })
}

type Grant = ServiceState['grants'][number]
type OwnersOf = (state: ServiceState, grant: Grant) => readonly GrantOwner[]

const patienceMilliseconds = 2000

/** What the daemon knows of them; nothing where it does not answer: what the kernel grants is listed without it. */
async function grantOwners(socket: string): Promise<readonly GrantOwner[]> {
  try {
    const answer = await askDaemon(socket, { request: 'whose' }, patienceMilliseconds)
    return answer.ok ? (answer.result as GrantOwner[]) : []
  } catch {
    return []
  }
}

const isOwner = ({ service, by, address }: GrantOwner, { spec }: ServiceState, grant: Grant) =>
  service === spec.name && by === grant.by && prefixContains(grant.source, address)

function asJson(state: ServiceState, ownersOf: OwnersOf) {
  const { spec, sound, grants, refusedPackets, admittedPackets } = state
  const { singleUse, failOpen, ...rest } = spec
  return {
    ...rest,
    'single-use': singleUse,
    'fail-open': failOpen,
    sound,
    refusedPackets,
    admittedPackets,
    grants: grants.map(grant => grantJson(grant, ownersOf(state, grant))),
  }
}

const grantJson = ({ comment, ...grant }: Grant, owners: readonly GrantOwner[]) => ({
  ...grant,
  ...parseGrantComment(comment),
  ...(owners.length > 0 && {
    knocks: owners.map(({ address, credential, user, key, at }) => ({
      ...{ source: address, credential, user, key },
      at: at === null ? null : new Date(at * 1000).toISOString(),
    })),
  }),
})

function print(terminal: Terminal, state: ServiceState, ownersOf: OwnersOf): void {
  const { spec, sound, grants, refusedPackets, admittedPackets } = state
  terminal.out(`${terminal.strong(spec.name)}  ${portsText(spec)}  ${serviceSummary(spec)}`)
  if (!sound) terminal.out(`  damaged: the rules were changed; pkctl init or pkctl reload restores them`)
  terminal.out(
    `  packets: ${admittedPackets} accepted, ${refusedPackets} ${spec.closing === 'accept' ? 'watched' : 'refused'}`,
  )
  if (spec.allow.length > 0) terminal.out(`  always:  ${spec.allow.join(' ')}`)
  for (const grant of grants) {
    const { source, by, secondsLeft, comment } = grant
    const left = secondsLeft === null ? 'without a time limit' : `${durationText(secondsLeft)} left`
    // Of elements that other programs made, a comment may be anything.
    const said = parseGrantComment(comment) ? `  ${oneLine(comment ?? '')}` : ''
    terminal.out(`  granted: ${source}  ${left}  by ${by}${said}${ownerText(ownersOf(state, grant))}`)
  }
  if (grants.length === 0) terminal.out('  granted: none')
}

/** The last one who knocked, and how many others have. */
function ownerText(owners: readonly GrantOwner[]): string {
  const last = owners.at(-1)
  if (!last) return ''
  const { credential, user, key, at } = last
  const when = at === null ? '' : `${new Date(at * 1000).toISOString().slice(0, 16)}Z `
  const [who = '', ...more] = [user, key, credential].flatMap(name => (name === null ? [] : [oneLine(name)]))
  const others = owners.length > 1 ? `, and ${owners.length - 1} more` : ''
  return `  ${when}${who}${more.length > 0 ? ` (${more.join(', ')})` : ''}${others}`
}
