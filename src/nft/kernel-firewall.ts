import type { Execute } from '../util/index.js'
import { execute, runDirectory, TimeLimitError } from '../util/index.js'
import type { LockAtOnce } from './lock.js'
import { rulesetLock, rulesetLockFile } from './lock.js'
import type { Nft } from './nft.js'
import { realNft } from './nft.js'
import { announceOwner, throughOwner } from './owner-request.js'
import { TableOwner } from './ownership.js'
import { Firewall } from './reconcile/firewall.js'
import type { RulesetAccess } from './ruleset-access.js'
import { openSession } from './nft-session.js'
import { withSharedListing } from './shared-listing.js'
import { realIptablesQueue } from './table/iptables-queue.js'
import { withPersistence } from './table-flags.js'
import { tableNote } from './table-note.js'
import type { OnNftRequest } from './timed.js'
import { timed } from './timed.js'

/** Gets a message about each program that hangs, and about a lock that is not free. */
type OnTrouble = (message: string) => void

const silent: OnTrouble = () => undefined

/** The kernel's ruleset, as commands use it. */
export function realFirewall({ dryRun = false } = {}): Firewall {
  const nft = throughOwner(withPersistence(realNft()), runDirectory)
  return new Firewall(rulesetAccess(nft, execute, silent), dryRun)
}

/** The kernel's ruleset, as the daemon uses it, and the owner of the table, which is asked for changes at `socket`. */
export function daemonRuleset(
  socket: string,
  onTrouble: OnTrouble,
  onRequest: OnNftRequest,
  lockAtOnce: LockAtOnce,
): { ruleset: RulesetAccess; owner: TableOwner } {
  const run: Execute = async (...call) => {
    try {
      return await execute(...call)
    } catch (error) {
      if (error instanceof TimeLimitError) onTrouble(error.message)
      throw error
    }
  }
  const owner = new TableOwner(withPersistence(realNft(run)), openSession, {
    lost: (reason, isBack) => {
      const now = isBack ? 'another one owns the table inet pkctl now' : 'pkctld does not own the table inet pkctl now'
      onTrouble(`the nft session has ended, and ${now}: ${reason}`)
    },
    announce: owns => {
      announceOwner(runDirectory, owns ? socket : undefined)
    },
  })
  return { ruleset: rulesetAccess(timed(owner.nft, onRequest), run, onTrouble, lockAtOnce), owner }
}

function rulesetAccess(nft: Nft, run: Execute, onTrouble: OnTrouble, lockAtOnce?: LockAtOnce): RulesetAccess {
  const onWait = (holder: string) => {
    onTrouble(`the lock of the ruleset is not free: ${holder}`)
  }
  return {
    nft: withSharedListing(nft),
    iptablesQueue: realIptablesQueue(run),
    exclusive: rulesetLock(runDirectory, onWait, lockAtOnce),
    tableNote: tableNote(rulesetLockFile(runDirectory)),
  }
}
