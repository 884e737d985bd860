/**
 * Which grants run, without asking the kernel, which forgets them when somebody deletes its table: those by knock from
 * the answers of the packet path, all others from what `nft monitor` tells and from a listing at the start.
 *
 * In doubt a grant is not in it: none may come back that was taken away, or live longer than it would have.
 */
import { addressFromBytes, canonicalAddress, ipFamilies, maskAddress } from '../../net/addresses.js'
import type { Listing } from '../listing.js'
import { asText } from '../listing.js'
import type { Marks } from '../table/marks.js'
import type { GrantAction } from '../table/packet-path-spec.js'
import { setOf } from '../table/service-sets.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { prefixOf } from '../table/service-spec.js'
import type { RulesetTransaction } from './monitor.js'
import { isDeletion, isOurs } from './monitor.js'
import type { RecentGrants } from './recent-grants.js'

/** One element to be put back. */
export interface RunningGrant {
  readonly set: string
  readonly source: string
  /** Seconds given and left, whole ones; null for a grant without end. */
  readonly life: { readonly timeout: number; readonly left: number } | null
}

interface Entry {
  /** When it was given, and when it ends; seconds of the steady clock. */
  readonly time: number
  readonly end: number
  readonly timeout: number
}

/** In each set more than these are not kept: what comes after is not put back. */
const maxEntries = 262_144
/** Of all sets together. When there are more, nothing given before is put back. */
const maxDeletions = 262_144
/** A few less than RecentAnswers keeps: when there are so many, older ones may have been forgotten. */
const manyAnswers = 260_000
/** To look for entries that have ended takes some milliseconds; it is not done more often than this. */
const tidyingSeconds = 1

/** A number gets a new meaning only after two reloads. */
const maxMeanings = 8
const meaning = ({ revokes, grants }: GrantAction) =>
  JSON.stringify([revokes, grants.map(({ service, seconds }) => [service.name, seconds])])

export class GrantTracker {
  /** By set and source: what the packet path did not give. */
  #entries = new Map<string, Map<string, Entry>>()
  /** When sources were last taken out of sets by a command, by anyone. */
  #deleted = new Map<string, Map<string, number>>()
  /** How many `#deleted` has. */
  #deletions = 0
  #tidiedAt = -Infinity
  /** Nothing given before counts; by set, and for all. */
  readonly #forgotten = new Map<string, number>()
  #allForgotten = -Infinity
  /** What a plan's number means, the latest meaning first. */
  readonly #plans = new Map<number, { from: number; plan: GrantAction }[]>()
  /** So far back answers matter: as long as the longest life of what they gave, or may have taken back since. */
  #lookBackSeconds = 0
  #blind = true

  /** `now` gives seconds of the clock by which `answers` were noted. */
  constructor(
    readonly marks: Marks,
    readonly now: () => number,
    readonly answers: RecentGrants,
  ) {}

  /** From now on the numbers of plans mean this. To be called before anybody answers with them. */
  useActions(plans: readonly GrantAction[]): void {
    const from = this.now()
    for (const plan of plans) {
      const known = this.#plans.get(plan.number) ?? []
      const same = known[0] && meaning(known[0].plan) === meaning(plan)
      if (!same) this.#plans.set(plan.number, [{ from, plan }, ...known].slice(0, maxMeanings))
      this.#lookBackSeconds = Math.max(this.#lookBackSeconds, ...plan.grants.map(({ seconds }) => seconds))
    }
  }

  /** Something may have happened that was not told: until the next `takeOver` nothing is known to run. */
  forgetAll(): void {
    this.#blind = true
  }

  /** Takes over what commands did, pkctl's and those of others. */
  follow({ events, lost }: RulesetTransaction): void {
    if (lost) this.forgetAll()
    const now = this.now()
    const ours = events.filter(isOurs)
    const tableWent = ours.some(({ kind, verb }) => kind === 'table' && isDeletion(verb))
    // What comes together with the table was saved some time ago, and has ended since or was taken back.
    const tableCame = ours.some(({ kind, verb }) => kind === 'table' && verb === 'add')
    for (const { kind, verb, name, elements } of ours) {
      if (!isGrantSet(name)) continue
      if (kind === 'set' && isDeletion(verb) && !tableWent) this.#forget(name, now)
      if (kind !== 'element' || tableCame) continue
      for (const { value, timeout, expires } of elements) {
        if (isDeletion(verb)) this.#delete(name, canonicalAddress(value), now)
        else this.#add(name, value, now, timeout, expires)
      }
    }
  }

  /**
   * Replaces everything by what a listing shows, which was begun at `startedAt`, but for what was followed since: the
   * listing may have been made before that.
   */
  takeOver(listing: Listing, startedAt: number): void {
    this.#dropOlder(startedAt)
    this.#allForgotten = startedAt
    this.#blind = false
    for (const { name, elements } of listing.sets.values()) {
      if (!isGrantSet(name)) continue
      for (const { value, timeout, expires } of elements) {
        const source = canonicalAddress(asText(value))
        const deleted = this.#deleted.get(name)?.get(source) ?? -Infinity
        if (deleted >= startedAt || this.#entries.get(name)?.has(source)) continue
        this.#add(name, source, startedAt, timeout ?? null, expires ?? timeout ?? null)
      }
    }
  }

  /**
   * The grants of these services, those of the packet path latest first, `most` at most. Services whose grants are used
   * up by a connection have none: nobody knows which were.
   */
  running(services: Iterable<ServiceSpec>, most = Infinity): RunningGrant[] {
    if (this.#blind) return []
    const now = this.now()
    const wanted = new Map([...services].filter(({ singleUse }) => !singleUse).map(spec => [spec.name, spec]))
    const grants: RunningGrant[] = []
    const seen = new Set<string>()
    const take = (set: string, source: string, entry: Entry) => {
      const left = Math.floor(entry.end - now)
      if (left < 1) return
      const life = entry.end === Infinity ? null : { timeout: Math.max(1, Math.ceil(entry.timeout)), left }
      grants.push({ set, source, life })
    }
    const answersKnownAfter = this.#answered(now, wanted, (set, source, entry) => {
      const key = `${set} ${source}`
      if (seen.has(key)) return true
      seen.add(key)
      const other = this.#entries.get(set)?.get(source)
      const latest = other && other.time > entry.time ? other : entry
      if (this.#counts(set, source, latest.time)) take(set, source, latest)
      return grants.length < most
    })
    for (const spec of wanted.values()) {
      for (const set of grantSets(spec.name)) {
        for (const [source, entry] of this.#entries.get(set) ?? []) {
          if (grants.length >= most) return grants
          // The packet path may have taken it back, or given it less.
          if (isKnockSet(set) && entry.time <= answersKnownAfter) continue
          if (!seen.has(`${set} ${source}`) && this.#counts(set, source, entry.time)) take(set, source, entry)
        }
      }
    }
    return grants
  }

  /** Visits what answers gave and took back, the latest first. Returns the time after which all answers are known. */
  #answered(
    now: number,
    services: ReadonlyMap<string, ServiceSpec>,
    visit: (set: string, source: string, entry: Entry) => boolean,
  ): number {
    let count = 0
    let knownAfter = -Infinity
    this.answers.latestFirst(now - this.#lookBackSeconds, ({ version, source, mark, time }) => {
      const meanings = this.#plans.get(this.marks.actionOf(mark))
      const plan = meanings?.find(({ from }) => from <= time)?.plan
      const meaningForgotten = meanings !== undefined && plan === undefined
      if (++count >= manyAnswers || meaningForgotten) knownAfter = time
      if (meaningForgotten) return false
      if (!plan) return true
      const address = addressFromBytes(source, 0, version)
      for (const { service, seconds } of plan.grants) {
        const spec = services.get(service.name)
        if (!spec) continue
        const masked = maskAddress(address, prefixOf(spec, version))
        const end = plan.revokes ? -Infinity : time + seconds
        if (!visit(setOf(spec.name, 'knock', version), masked, { time, end, timeout: seconds })) return false
      }
      return true
    })
    return knownAfter
  }

  #counts(set: string, source: string, time: number): boolean {
    if (time < this.#allForgotten || time <= (this.#forgotten.get(set) ?? -Infinity)) return false
    return time > (this.#deleted.get(set)?.get(source) ?? -Infinity)
  }

  #add(set: string, value: string, now: number, timeout: number | null, expires: number | null): void {
    const source = canonicalAddress(value)
    const ofSet = this.#entries.get(set) ?? new Map<string, Entry>()
    if (ofSet.size >= maxEntries && !ofSet.has(source)) this.#dropEnded(now)
    if (ofSet.size >= maxEntries && !ofSet.has(source)) return
    this.#entries.set(set, ofSet)
    const life = timeout === null ? Infinity : (expires ?? timeout)
    ofSet.set(source, { time: now, end: now + life, timeout: timeout ?? 0 })
    if (isKnockSet(set)) this.#lookBackSeconds = Math.max(this.#lookBackSeconds, life)
    if (this.#deleted.get(set)?.delete(source)) this.#deletions--
  }

  #delete(set: string, source: string, now: number): void {
    this.#entries.get(set)?.delete(source)
    if (this.#deletions >= maxDeletions && !this.#deleted.get(set)?.has(source)) this.#forgetAll(set, now)
    const ofSet = this.#deleted.get(set) ?? new Map<string, number>()
    if (!ofSet.has(source)) this.#deletions++
    this.#deleted.set(set, ofSet.set(source, now))
  }

  #forget(set: string, now: number): void {
    this.#deletions -= this.#deleted.get(set)?.size ?? 0
    this.#entries.delete(set)
    this.#deleted.delete(set)
    this.#forgotten.set(set, now)
  }

  /** In `set` also what was given just now. */
  #forgetAll(set: string, now: number): void {
    this.#forget(set, now)
    this.#deleted = new Map()
    this.#deletions = 0
    this.#dropOlder(now)
    this.#allForgotten = now
  }

  #dropOlder(than: number): void {
    for (const ofSet of this.#entries.values()) dropWhere(ofSet, ({ time }) => time < than)
  }

  #dropEnded(now: number): void {
    if (now < this.#tidiedAt + tidyingSeconds) return
    this.#tidiedAt = now
    for (const [set, ofSet] of this.#entries) {
      // As long as an older answer is looked at, what came after it has to be known, too.
      const unneededUpTo = isKnockSet(set) ? now - this.#lookBackSeconds : now
      dropWhere(ofSet, ({ time, end }) => end <= now && time <= unneededUpTo)
    }
  }
}

const grantSets = (service: string) =>
  ipFamilies.flatMap(version => [setOf(service, 'knock', version), setOf(service, 'add', version)])

function dropWhere(entries: Map<string, Entry>, dropped: (entry: Entry) => boolean): void {
  for (const [source, entry] of entries) if (dropped(entry)) entries.delete(source)
}

/** Sets whose elements are grants; that they come and go damages nothing. */
const isGrantSet = (name: string) => /^pk-.*-[46]$/.test(name) && !/\.(allow|used)-[46]$/.test(name)

/** What the packet path fills as well. */
const isKnockSet = (name: string) => !/\.add-[46]$/.test(name)
