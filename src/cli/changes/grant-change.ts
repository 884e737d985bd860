/** What `pkctl add` and `pkctl delete` have in common. */
import type { Message } from '../../daemon/requests.js'
import type { FirewallResult, Firewall } from '../../nft/index.js'
import { realFirewall } from '../../nft/index.js'
import { usageError } from '../../util/index.js'
import type { ChangeFlags } from './change.js'
import type { FleetResult } from './fleet-change.js'
import { changeFleet } from './fleet-change.js'
import { checkServiceName } from '../flags/flag-values.js'
import { kernelOrDaemon } from './kernel-or-daemon.js'

export interface GrantFlags extends ChangeFlags {
  readonly service?: string
  readonly fleet?: boolean
}

export const fleetFlag = [
  '--fleet',
  'on all servers of the fleet, also where the service is not shared: see fleet in the configuration',
] as const

/** The service of the flag, or the only one there is. */
export async function serviceOf({ service, socket }: GrantFlags): Promise<string> {
  if (service !== undefined) return checkServiceName(service)
  const services = await kernelOrDaemon(socket, { request: 'list' }, async () => [
    ...(await realFirewall().services()).values(),
  ])
  const [only, ...others] = services.map(({ spec }) => spec.name)
  if (only === undefined) throw usageError('there is no service', 'pkctl init NAME --port PORT makes one')
  if (others.length === 0) return only
  throw usageError('--service is missing, and there are several services', `they are ${[only, ...others].join(', ')}`)
}

/**
 * Asks the daemon where the rights are missing, and for what the fleet is to do; not for a dry run, which the daemon does not do.
 */
export function changeGrant<T extends FirewallResult>(
  flags: GrantFlags,
  message: Message,
  work: (firewall: Firewall) => Promise<T>,
): Promise<FleetResult<T>> {
  if (flags.fleet && !flags.dryRun) return changeFleet(flags.socket, message)
  const firewall = realFirewall(flags)
  return flags.dryRun ? work(firewall) : kernelOrDaemon(flags.socket, message, () => work(firewall))
}
