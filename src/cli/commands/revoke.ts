import { Command } from 'commander'
import { namePattern } from '../../config/values.js'
import type { RevokedGrants } from '../../controller/index.js'
import { askOrExplain } from '../../daemon/control-client.js'
import { parseGranted, prefixContains, splitPrefix } from '../../net/index.js'
import type { ServiceState } from '../../nft/index.js'
import { realFirewall } from '../../nft/index.js'
import type { Terminal } from '../../util/index.js'
import { count, defaultSocket, usageError } from '../../util/index.js'
import { changeGrant } from '../changes/grant-change.js'
import { endConnections } from '../changes/reset-connections.js'
import { jsonText } from '../output/json-output.js'
import { kernelOrDaemon } from '../changes/kernel-or-daemon.js'
import { logChange } from '../changes/log-change.js'
import { printGrants } from '../changes/revoke-grants.js'
import { revokedText } from '../output/service-text.js'
import { whoAsks } from '../changes/who-asks.js'

interface RevokeFlags {
  readonly connections?: boolean
  readonly force?: boolean
  readonly json?: boolean
  readonly socket: string
}

const help = `
An address or a prefix loses its grants for all services, and those of prefixes around it. For a credential, pkctld revokes
what was granted by its knocks. The credential can still knock: disable or remove it in the configuration first, and run
pkctl reload. pkctl user revoke does this for one user of a credential with SSH keys.

Where a service filters only new connections, those that run go on, also when their grant has ended. --connections ends
them, if they end on this machine; those that are forwarded to another machine or a container go on. For an address or a
prefix, these are all its connections to the ports of services, also those that the allowlist accepts, or that are older than
pkctl. Your own ssh session is left out, unless you give --force.

Examples:
  pkctl revoke 192.0.2.7 --connections
  pkctl revoke laptop`

export function revokeCommand(terminal: Terminal): Command {
  return new Command('revoke')
    .description('revoke the grants of an address for all services, or those by a credential')
    .argument('<who>', 'address, prefix, or name of a credential')
    .option('--connections', 'end the connections that run, too')
    .option('--force', 'with --connections, end your own ssh session as well')
    .option('--json', 'print one JSON object')
    .option('--socket <path>', 'socket of the daemon, which knows the grants of a credential', defaultSocket)
    .addHelpText('after', help)
    .action((who: string, flags: RevokeFlags) => revoke(terminal, who, flags))
}

async function revoke(terminal: Terminal, who: string, flags: RevokeFlags): Promise<void> {
  const isAddress = /[.:/]/.test(who)
  if (!isAddress && !namePattern.test(who))
    throw usageError(`'${who}' is neither an address nor the name of a credential`)
  // Before, because a service whose last rule is gone says nothing about its ports any more.
  const services = await kernelOrDaemon(flags.socket, { request: 'list' }, async () => [
    ...(await realFirewall().services()).values(),
  ])
  const result = isAddress ? await ofAddress(who, services, flags) : await ofCredential(who, flags)
  const places = isAddress ? [...result.revoked, ...everywhere(who, services)] : result.revoked
  const session = flags.connections && !flags.force ? await ownSession() : undefined
  const found = flags.connections ? await endConnections(places, services, session) : undefined
  const connections = found && { ended: found.ended, left: found.left }
  const sayWhatIsSpared = () => {
    if (!found?.spared) return
    terminal.warn(`your own ssh session from ${session?.address} goes on`)
    terminal.hint('--force ends it as well')
  }
  const ended = connections?.ended ?? 0
  const changed = result.revoked.length > 0 || ended > 0
  if (ended > 0) {
    const whose = isAddress ? { source: parseGranted(who).source } : { credential: who }
    await logChange(flags.socket, `${count(ended, 'connection')} of ${who} ended`, { action: 'revoke', ...whose })
  }
  if (flags.json) {
    const { revoked, kept } = result
    terminal.out(jsonText({ changed, who, revoked, kept, ...(connections ? { connections } : {}) }))
    sayWhatIsSpared()
    return
  }
  if (result.revoked.length + result.kept.length === 0)
    terminal.out(`${changed ? '' : 'nothing to do: '}${who} has no grant that runs`)
  printGrants(result, terminal)
  if (!connections) return
  terminal.out(`${count(connections.ended, 'connection')} ended`)
  sayWhatIsSpared()
  if (connections.left === 0) return
  terminal.warn(`${count(connections.left, 'connection')} could not be ended`)
  terminal.hint('run as root, on a kernel with CONFIG_INET_DIAG_DESTROY')
}

const ownSession = async () => (await import('../../safety/ssh-session.js')).findSession()

/** Connections outlive the grants by which they came. */
const everywhere = (who: string, services: readonly ServiceState[]) =>
  services.map(({ spec }) => ({ service: spec.name, source: parseGranted(who).source }))

async function ofAddress(who: string, services: readonly ServiceState[], flags: RevokeFlags): Promise<RevokedGrants> {
  const { source: wanted } = parseGranted(who)
  const isMeant = (source: string) =>
    prefixContains(wanted, splitPrefix(source).address) || prefixContains(source, splitPrefix(wanted).address)
  const places = services.flatMap(({ spec, grants }) =>
    [...new Set(grants.map(({ source }) => source).filter(isMeant))].map(source => ({ service: spec.name, source })),
  )
  for (const { service, source } of places) {
    const { version } = splitPrefix(source)
    const message = { request: 'delete', service, address: source } as const
    await changeGrant(flags, message, firewall => firewall.deleteGrant(service, version, source))
    await logChange(flags.socket, revokedText(source, service), { action: 'revoke', service, source })
  }
  return { revoked: places, kept: [] }
}

const ofCredential = async (credential: string, { socket }: RevokeFlags): Promise<RevokedGrants> =>
  (await askOrExplain(socket, {
    ...{ request: 'revoke', user: null, keys: [], credential },
    by: await whoAsks(),
  })) as RevokedGrants
