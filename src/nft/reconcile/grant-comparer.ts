/** Compares the kernel's grants with those that are known, and gives those again that are missing. */
import type { RulesetAccess } from '../ruleset-access.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { signed } from './barrier.js'
import type { GrantDifferences } from './compare-grants.js'
import { compareGrants, inBoth, isEmpty, keyOf } from './compare-grants.js'
import type { GrantTracker, RunningElement } from './grant-tracker.js'
import { addGrants, grantsAtOnce } from './owed-grants.js'
import type { Snapshot } from './snapshot.js'

interface ComparerParts {
  readonly access: RulesetAccess
  readonly tracker: GrantTracker
  readonly snapshot: () => Snapshot | undefined
  /** Whether grants are still to be restored after a flush. */
  readonly isOwing: () => boolean
  /** Whether the monitor has reported all that was before the call. */
  readonly monitorReports: () => Promise<boolean>
}

/** So long after a difference it is looked whether it is one: what is on its way has arrived by then. */
const secondLookMilliseconds = 1000

export class GrantComparer {
  constructor(readonly parts: ComparerParts) {}

  /** Undefined while it cannot be said, for instance because the table is being restored. Rejects with an NftError. */
  async compare(): Promise<GrantDifferences | undefined> {
    const first = await this.#compareOnce()
    if (!first || isEmpty(first)) return first
    await new Promise(resolve => setTimeout(resolve, secondLookMilliseconds))
    const second = await this.#compareOnce()
    return second && inBoth(first, second)
  }

  async #compareOnce(): Promise<GrantDifferences | undefined> {
    const { access, tracker, isOwing, monitorReports } = this.parts
    const snapshot = this.parts.snapshot()
    const isCalm = () => this.parts.snapshot()?.table === snapshot?.table && !isOwing() && tracker.knows
    // What commands did before has to be known.
    if (!snapshot || !isCalm() || !(await monitorReports())) return undefined
    const specs = specsOf(snapshot)
    const startedAt = tracker.now()
    const before = tracker.running(specs)
    const listing = await access.nft.list()
    if (!(await monitorReports()) || !isCalm() || listing.handle !== snapshot.table) return undefined
    const after = tracker.running(specs)
    return compareGrants({ before, after, seconds: tracker.now() - startedAt }, listing, specs)
  }

  /**
   * Gives these grants again, as far as they still run, and returns how many. What cannot be given is not known as a grant
   * any more. Rejects with a LockError.
   */
  giveAgain(missing: readonly RunningElement[]): Promise<number> {
    const { access, tracker, monitorReports } = this.parts
    const wanted = new Set(missing.map(keyOf))
    return access.exclusive(async () => {
      const snapshot = this.parts.snapshot()
      // A command may have revoked some of them meanwhile.
      if (!snapshot || !(await monitorReports())) return 0
      const grants = tracker.running(specsOf(snapshot)).filter(grant => wanted.has(keyOf(grant)))
      let given = 0
      for (let i = 0; i < grants.length; i += grantsAtOnce) {
        const some = grants.slice(i, i + grantsAtOnce)
        try {
          await access.nft.apply(signed(addGrants(some)))
          given += some.length
        } catch {
          for (const grant of some) tracker.drop(grant)
        }
      }
      return given
    })
  }
}

const specsOf = ({ services }: Snapshot): ServiceSpec[] => [...services.values()].map(({ spec }) => spec)
