/**
 * Grants that ran when another program deleted their sets. They are restored after the rules, once the monitor has reported
 * all that was before: a grant that was revoked a moment before a flush must not come back by it.
 */
import type { Command, Json } from '../nft-json.js'
import { addElements } from '../nft-json.js'
import type { Listing } from '../listing.js'
import type { RulesetAccess } from '../ruleset-access.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { element } from '../table/grant-elements.js'
import { signed } from './barrier.js'
import { keyOf } from './compare-grants.js'
import type { GrantTracker, RunningElement } from './grant-tracker.js'

export interface Owed {
  readonly services: ReadonlyMap<string, ServiceSpec>
  /** What sets there were: what those contained is there. */
  readonly before: Listing
  /** When the rules were restored, by performance.now(). */
  readonly at: number
  /** Another program keeps the lock. */
  readonly withoutLock?: boolean
  /** Whether the monitor has come to what restored the rules: false when not in time. */
  readonly seen: Promise<boolean>
}

interface RestoredGrants {
  readonly restored: number
  /** Grants that were given up: the monitor is so late that they may have been revoked, or nft refused them. */
  readonly givenUp?: number
}

/** How long to wait for the lock. Other programs need some milliseconds. */
const lockSeconds = 10

/** How late the monitor may be: it reads the big lists that other programs load, too. */
export const monitorMilliseconds = 10_000
/** Before this, what the monitor reports is up to date. */
const lateMilliseconds = 500

/** So many grants are restored in one transaction. */
export const grantsAtOnce = 5000

export class OwedGrants {
  #owed: Owed | undefined
  #interrupt: () => void = () => undefined

  constructor(
    readonly access: RulesetAccess,
    readonly tracker: GrantTracker,
    /** Whether the monitor has reported all that was before the call. */
    readonly monitorReports: () => Promise<boolean>,
  ) {}

  /** Grants of services that were owed before are owed still. */
  owe(owed: Owed): void {
    this.#owed = { ...owed, before: this.#owed?.before ?? owed.before }
  }

  restoreWithoutLock(): void {
    if (this.#owed) this.#owed = { ...this.#owed, withoutLock: true }
  }

  /** Whether there are any. */
  get isOwing(): boolean {
    return this.#owed !== undefined
  }

  /** Lets a `restore` that waits for the monitor resolve at once; the grants are left to the next one. */
  interrupt(): void {
    this.#interrupt()
  }

  /**
   * Restores what is owed when the monitor has come to `seen`, for which no other change of the ruleset waits: beside big
   * lists of others it takes a second and more.
   */
  async restore(): Promise<RestoredGrants> {
    const owed = this.#owed
    if (!owed) return { restored: 0 }
    const interrupted = new Promise<undefined>(resolve => {
      this.#interrupt = () => {
        // What was seen before counts.
        setImmediate(resolve, undefined)
      }
    })
    let seen = await Promise.race([owed.seen, interrupted])
    // Commands may have revoked some of them meanwhile.
    if (seen === true && performance.now() - owed.at > lateMilliseconds)
      seen = await Promise.race([this.monitorReports(), interrupted])
    if (seen === undefined) return { restored: 0 }
    this.#owed = undefined
    if (!seen) return { restored: 0, givenUp: this.#missing(owed).length }
    const restore = () => this.#restoreMissing(owed)
    return owed.withoutLock ? restore() : this.access.exclusive(restore, lockSeconds)
  }

  /** Grants that ran, of the sets that there were none of. */
  readonly #missing = ({ services, before }: Owed): RunningElement[] =>
    this.tracker.running(services.values()).filter(({ set }) => !before.sets.has(set))

  async #restoreMissing(owed: Owed): Promise<RestoredGrants> {
    const wanted = new Set(this.#missing(owed).map(keyOf))
    for (let restored = 0; ;) {
      // Computed for each transaction: what is left of them gets less meanwhile, and some have ended or were revoked.
      const grants = this.#missing(owed)
        .filter(grant => wanted.has(keyOf(grant)))
        .slice(0, grantsAtOnce)
      if (grants.length === 0) return { restored }
      try {
        await this.access.nft.apply(signed(addGrants(grants)))
      } catch {
        // Flushed once more in between, most likely; that is drift again, and they come back by that.
        const { present } = await this.access.nft.list({ elements: false }).catch(() => ({ present: true }))
        return present ? { restored, givenUp: wanted.size } : { restored }
      }
      restored += grants.length
      for (const grant of grants) wanted.delete(keyOf(grant))
    }
  }
}

/** Gives these grants, each for what is left of it. */
export function addGrants(grants: readonly RunningElement[]): Command[] {
  const bySet = new Map<string, Json[]>()
  for (const { set, source, life, comment } of grants) {
    const elements = bySet.get(set) ?? []
    elements.push(element(source, life ? { timeout: life.timeout, expires: life.left } : {}, comment))
    bySet.set(set, elements)
  }
  return [...bySet].map(([set, elements]) => addElements(set, elements))
}
