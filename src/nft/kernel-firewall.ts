import { maskAddress } from '../net/addresses.js'
import { rulesetLock } from '../util/default-paths.js'
import { execute } from '../util/run-program.js'
import { fileLock } from './lock.js'
import { realNft } from './nft.js'
import { Firewall } from './reconcile/firewall.js'
import { realIptablesQueue } from './table/iptables-queue.js'

/** The kernel's ruleset, as commands and the daemon use it. */
export function realFirewall({ dryRun = false } = {}): Firewall {
  return new Firewall(
    realNft(),
    realIptablesQueue(execute),
    (address, _, prefix) => maskAddress(address, prefix),
    dryRun,
    fileLock(rulesetLock),
  )
}
