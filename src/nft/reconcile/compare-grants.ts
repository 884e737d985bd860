/**
 * Compares the grants that the daemon knows with those that the kernel has. Both change while they are read, so what is
 * different counts only when it is different twice.
 */
import { canonicalAddress } from '../../net/index.js'
import type { Listing } from '../listing.js'
import { asText } from '../listing.js'
import type { ServiceSpec } from '../table/service-spec.js'
import type { RunningElement } from './grant-tracker.js'
import { grantSets } from './reported-grants.js'

/** Each list is of different grants; `unknown` and `changed` are as the kernel has them. */
export interface GrantDifferences {
  /** How many the kernel has of those that were compared. */
  readonly compared: number
  /** Given, and not in the kernel. */
  readonly missing: readonly RunningElement[]
  /** In the kernel, and given by nothing that the daemon has seen. */
  readonly unknown: readonly RunningElement[]
  /** In the kernel, with an end at another time. */
  readonly changed: readonly RunningElement[]
}

export const noDifferences: GrantDifferences = { compared: 0, missing: [], unknown: [], changed: [] }

/** What ends so soon may have ended; and the daemon and the kernel round. */
const toleranceSeconds = 3

/** What the daemon knew before and after the kernel was asked, and how many seconds that took. */
interface Known {
  readonly before: readonly RunningElement[]
  readonly after: readonly RunningElement[]
  readonly seconds: number
}

/** Of services whose grants a connection uses up, it is not known which run. */
export function compareGrants(
  { before, after, seconds }: Known,
  listing: Listing,
  services: Iterable<ServiceSpec>,
): GrantDifferences {
  const names = [...services].flatMap(({ name, singleUse }) => (singleUse ? [] : grantSets(name)))
  const there = new Map(names.flatMap(name => elementsOf(name, listing)).map(grant => [keyOf(grant), grant]))
  const [first, last] = [before, after].map(grants => new Map(grants.map(grant => [keyOf(grant), grant])))
  const tolerance = toleranceSeconds + seconds
  const runsOn = ({ life }: RunningElement) => life === null || life.left > tolerance
  const found = [...there.values()]
  return {
    compared: there.size,
    missing: after.filter(grant => {
      const key = keyOf(grant)
      return first?.has(key) === true && !there.has(key) && runsOn(grant) && listing.sets.has(grant.set)
    }),
    unknown: found.filter(grant => runsOn(grant) && !first?.has(keyOf(grant)) && !last?.has(keyOf(grant))),
    changed: found.filter(grant => {
      const known = [first, last].flatMap(grants => grants?.get(keyOf(grant)) ?? [])
      return known.length > 0 && known.every(one => !isSameLife(one.life, grant.life, tolerance))
    }),
  }
}

/** What is in both. */
export function inBoth(one: GrantDifferences, other: GrantDifferences): GrantDifferences {
  const both = (kind: 'missing' | 'unknown' | 'changed') => {
    const keys = new Set(one[kind].map(keyOf))
    return other[kind].filter(grant => keys.has(keyOf(grant)))
  }
  return {
    compared: other.compared,
    ...{ missing: both('missing'), unknown: both('unknown'), changed: both('changed') },
  }
}

export const isEmpty = ({ missing, unknown, changed }: GrantDifferences): boolean =>
  missing.length + unknown.length + changed.length === 0

export const keyOf = ({ set, source }: Pick<RunningElement, 'set' | 'source'>): string => `${set} ${source}`

function elementsOf(set: string, listing: Listing): RunningElement[] {
  return (listing.sets.get(set)?.elements ?? []).map(({ value, timeout, expires, comment }) => {
    const life = timeout === undefined ? null : { timeout, left: expires ?? timeout }
    return { set, source: canonicalAddress(asText(value)), life, ...(comment === undefined ? {} : { comment }) }
  })
}

function isSameLife(one: RunningElement['life'], other: RunningElement['life'], tolerance: number): boolean {
  if (!one || !other) return one === other
  return Math.abs(one.left - other.left) <= tolerance
}
