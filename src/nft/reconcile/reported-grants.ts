/** Elements that came into grant sets and were deleted from them, as far as `nft monitor` and listings report it. */
import { ipFamilies } from '../../net/index.js'
import { setOf } from '../table/service-sets.js'
import type { RulesetEvent } from './nft-monitor.js'
import { isOurs } from './nft-monitor.js'

export interface ReportedGrant {
  /** When it was given, and when it ends; seconds of the steady clock. */
  readonly time: number
  readonly end: number
  readonly timeout: number
  /** Of its element. */
  readonly comment?: string | undefined
}

/** In each set no more than these are kept: what comes after is not restored. */
const maxGrants = 262_144
/** Of all sets together. When there are more, nothing given before is restored. */
const maxDeletions = 262_144
/** To look for grants that have ended takes some milliseconds; it is not done more often than this. */
const tidyingSeconds = 1

export class ReportedGrants {
  /** By set and source. */
  #grants = new Map<string, Map<string, ReportedGrant>>()
  /** When sources were last deleted from sets by a command. */
  #deleted = new Map<string, Map<string, number>>()
  /** How many `#deleted` has. */
  #deletions = 0
  #tidiedAt = -Infinity
  /** Nothing given before counts; by set, and for all. */
  readonly #forgotten = new Map<string, number>()
  #allForgotten = -Infinity

  /** `lookBackSeconds`: as long as an older answer is looked at, what came after it has to be known, too. */
  constructor(readonly lookBackSeconds: () => number) {}

  of(set: string): ReadonlyMap<string, ReportedGrant> {
    return this.#grants.get(set) ?? new Map<string, ReportedGrant>()
  }

  deletedAt(set: string, source: string): number {
    return this.#deleted.get(set)?.get(source) ?? -Infinity
  }

  /** Whether what was given at that time was not deleted since, nor forgotten. */
  counts(set: string, source: string, time: number): boolean {
    if (time < this.#allForgotten || time <= (this.#forgotten.get(set) ?? -Infinity)) return false
    return time > this.deletedAt(set, source)
  }

  add(
    set: string,
    source: string,
    now: number,
    {
      timeout,
      life,
      comment,
    }: { readonly timeout: number | null; readonly life: number; readonly comment?: string | undefined },
  ): void {
    const grants = this.#grants.get(set) ?? new Map<string, ReportedGrant>()
    if (grants.size >= maxGrants && !grants.has(source)) this.#dropEnded(now)
    if (grants.size >= maxGrants && !grants.has(source)) return
    this.#grants.set(set, grants)
    grants.set(source, {
      ...{ time: now, end: now + life, timeout: timeout ?? 0 },
      ...(comment === undefined ? {} : { comment }),
    })
    if (this.#deleted.get(set)?.delete(source)) this.#deletions--
  }

  delete(set: string, source: string, now: number): void {
    this.#grants.get(set)?.delete(source)
    if (this.#deletions >= maxDeletions && !this.#deleted.get(set)?.has(source)) this.#forgetAll(set, now)
    const deleted = this.#deleted.get(set) ?? new Map<string, number>()
    if (!deleted.has(source)) this.#deletions++
    this.#deleted.set(set, deleted.set(source, now))
  }

  /** All of the set was deleted. */
  forget(set: string, now: number): void {
    this.#deletions -= this.#deleted.get(set)?.size ?? 0
    this.#grants.delete(set)
    this.#deleted.delete(set)
    this.#forgotten.set(set, now)
  }

  /** Nothing given before that time counts. */
  forgetBefore(time: number): void {
    for (const grants of this.#grants.values()) dropWhere(grants, grant => grant.time < time)
    this.#allForgotten = time
  }

  /** In `set` also what was given just now. */
  #forgetAll(set: string, now: number): void {
    this.forget(set, now)
    this.#deleted = new Map()
    this.#deletions = 0
    this.forgetBefore(now)
  }

  #dropEnded(now: number): void {
    if (now < this.#tidiedAt + tidyingSeconds) return
    this.#tidiedAt = now
    for (const [set, grants] of this.#grants) {
      const unneededUpTo = isKnockSet(set) ? now - this.lookBackSeconds() : now
      dropWhere(grants, ({ time, end }) => end <= now && time <= unneededUpTo)
    }
  }
}

function dropWhere(grants: Map<string, ReportedGrant>, dropped: (grant: ReportedGrant) => boolean): void {
  for (const [source, grant] of grants) if (dropped(grant)) grants.delete(source)
}

/** The sets of a service whose elements are grants. */
export const grantSets = (service: string) =>
  ipFamilies.flatMap(version => [setOf(service, 'knock', version), setOf(service, 'add', version)])

/** Sets whose elements are grants; that they come and go is no drift. */
export const isGrantSet = (name: string) =>
  /^pk-.*-[46]$/.test(name) && !/\.(allow|used|knock-taken|add-taken)-[46]$/.test(name)

/** The service whose grants a set has, and how they were given; undefined for other sets. */
export function grantSetOf(name: string): { readonly service: string; readonly by: 'knock' | 'hand' } | undefined {
  if (!isGrantSet(name)) return undefined
  const service = name.replace(/^pk-/, '').replace(/(\.add)?-[46]$/, '')
  return { service, by: isKnockSet(name) ? 'knock' : 'hand' }
}

/** Whether grants came or went by it. */
export const changesGrants = (event: RulesetEvent): boolean =>
  isOurs(event) && event.kind === 'element' && isGrantSet(event.name)

/** Those that the packet path fills as well. */
export const isKnockSet = (name: string) => !/\.add-[46]$/.test(name)
