/**
 * How the knocks of each credential ended, for metrics. Names come from the configuration and reasons from a fixed list, so no
 * sender can make it grow. Kept by the packet worker, which tells it when it is asked.
 */
import type { Refusal } from '../verify/decision.js'
import { refusals } from '../verify/decision.js'

/** `accepted`: also those that revoke a grant. */
const outcomes = ['accepted', ...refusals] as const
type CountedOutcome = (typeof outcomes)[number]

/** The knocks of one credential since the start. */
export interface CredentialKnocks {
  /** Empty for knocks that belong to no credential: they were made without a secret of any. */
  readonly credential: string
  /** Those that did not happen are left out. */
  readonly counts: readonly { readonly outcome: CountedOutcome; readonly count: number }[]
  /** How far the sender of the last accepted knock is ahead, in seconds; undefined where no knock has said its time. */
  readonly clockDifferenceSeconds?: number
}

interface CredentialTally {
  readonly counts: Float64Array
  clockDifferenceSeconds: number | undefined
}

export class KnockTally {
  readonly #entries = new Map<string, CredentialTally>()

  accept(credential: string, clockDifferenceSeconds?: number): void {
    const entry = this.#count(credential, 'accepted')
    if (clockDifferenceSeconds !== undefined) entry.clockDifferenceSeconds = clockDifferenceSeconds
  }

  refuse(credential: string, reason: Refusal): void {
    this.#count(credential, reason)
  }

  /** Forgets credentials of other names: they are not configured any more. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#entries.keys()) if (name !== '' && !names.has(name)) this.#entries.delete(name)
  }

  report(): CredentialKnocks[] {
    return [...this.#entries].map(([credential, { counts, clockDifferenceSeconds }]) => ({
      credential,
      counts: outcomes.map((outcome, i) => ({ outcome, count: counts[i] as number })).filter(({ count }) => count > 0),
      ...(clockDifferenceSeconds === undefined ? {} : { clockDifferenceSeconds }),
    }))
  }

  #count(credential: string, outcome: CountedOutcome): CredentialTally {
    let entry = this.#entries.get(credential)
    if (!entry) {
      entry = { counts: new Float64Array(outcomes.length), clockDifferenceSeconds: undefined }
      this.#entries.set(credential, entry)
    }
    const index = indexOf.get(outcome) as number
    entry.counts[index] = (entry.counts[index] as number) + 1
    return entry
  }
}

const indexOf: ReadonlyMap<CountedOutcome, number> = new Map(outcomes.map((outcome, i) => [outcome, i]))
