import type { Execute } from '../util/index.js'
import { execute, runDirectory, TimeLimitError } from '../util/index.js'
import { rulesetLock } from './lock.js'
import { realNft } from './nft.js'
import { Firewall } from './reconcile/firewall.js'
import { withSharedListing } from './shared-listing.js'
import type { RulesetAccess } from './ruleset-access.js'
import { realIptablesQueue } from './table/iptables-queue.js'

/** The kernel's ruleset, as commands and the daemon use it. `onTrouble` gets a message about each program that hangs. */
export function kernelRuleset(onTrouble: (message: string) => void = () => undefined): RulesetAccess {
  const run: Execute = async (...call) => {
    try {
      return await execute(...call)
    } catch (error) {
      if (error instanceof TimeLimitError) onTrouble(error.message)
      throw error
    }
  }
  const onWait = (holder: string) => {
    onTrouble(`the lock of the ruleset is not free: ${holder}`)
  }
  return {
    nft: withSharedListing(realNft(run)),
    iptablesQueue: realIptablesQueue(run),
    exclusive: rulesetLock(runDirectory, onWait),
  }
}

export const realFirewall = ({ dryRun = false } = {}): Firewall => new Firewall(kernelRuleset(), dryRun)
