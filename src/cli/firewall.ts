import { maskAddress } from '../controller/config/values.js'
import { Firewall } from '../nft/firewall.js'
import { fileLock } from '../nft/lock.js'
import { execute, realNft } from '../nft/nft.js'
import { realXtQueue } from '../nft/xtqueue.js'

/** The kernel's ruleset, as commands and the daemon use it. */
export function realFirewall({ dryRun = false } = {}): Firewall {
  return new Firewall(
    realNft(),
    realXtQueue(execute),
    (address, _, prefix) => maskAddress(address, prefix),
    dryRun,
    fileLock('/run/pkctl/ruleset.lock'),
  )
}
