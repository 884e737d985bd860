/** What `pkctl add` and `pkctl delete` have in common. */
import type { Message } from '../daemon/requests.js'
import type { Change, Firewall } from '../nft/index.js'
import { realFirewall } from '../nft/index.js'
import { usageError } from '../util/index.js'
import type { ChangeFlags } from './change.js'
import { checkServiceName } from './flag-values.js'
import { kernelOrDaemon } from './kernel-or-daemon.js'

export interface GrantFlags extends ChangeFlags {
  readonly service?: string
}

export function serviceOf({ service }: GrantFlags): string {
  if (service === undefined) throw usageError('--service is missing', 'pkctl list shows the services there are')
  return checkServiceName(service)
}

/** Asks the daemon where the rights are missing; not for a dry run, which the daemon does not do. */
export function changeGrant<T extends Change>(
  flags: GrantFlags,
  message: Message,
  work: (firewall: Firewall) => Promise<T>,
): Promise<T> {
  const firewall = realFirewall(flags)
  return flags.dryRun ? work(firewall) : kernelOrDaemon(flags.socket, message, () => work(firewall))
}
