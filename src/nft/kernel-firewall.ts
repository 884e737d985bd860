import { execute, runDirectory } from '../util/index.js'
import { rulesetLock } from './lock.js'
import { realNft } from './nft.js'
import { Firewall } from './reconcile/firewall.js'
import type { RulesetAccess } from './ruleset-access.js'
import { realIptablesQueue } from './table/iptables-queue.js'

/** The kernel's ruleset, as commands and the daemon use it. */
export const kernelRuleset = (): RulesetAccess => ({
  nft: realNft(),
  iptablesQueue: realIptablesQueue(execute),
  exclusive: rulesetLock(runDirectory),
})

export const realFirewall = ({ dryRun = false } = {}): Firewall => new Firewall(kernelRuleset(), dryRun)
