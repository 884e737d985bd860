/**
 * Which grants run, without asking the kernel, which forgets them when its table is deleted: those by knock from the
 * answers of the packet path, all others from what `nft monitor` reports and from a listing at the start.
 *
 * In doubt a grant is not in it: none may come back that was revoked, or live longer than it would have.
 */
import { addressFromBytes, canonicalAddress, maskAddress } from '../../net/index.js'
import type { Listing } from '../listing.js'
import { asText } from '../listing.js'
import type { Marks } from '../table/marks.js'
import type { GrantAction } from '../table/packet-path-spec.js'
import { setOf } from '../table/service-sets.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { grantPrefix } from '../table/service-spec.js'
import { ActionHistory } from './action-history.js'
import type { RulesetTransaction } from './nft-monitor.js'
import { isDeletion, isOurs } from './nft-monitor.js'
import type { RecentGrants } from './recent-grants.js'
import type { ReportedGrant } from './reported-grants.js'
import { grantSets, isGrantSet, isKnockSet, ReportedGrants } from './reported-grants.js'

/** One element to be restored. */
export interface RunningElement {
  readonly set: string
  readonly source: string
  /** Seconds given and left, whole ones; null for a grant without a time limit. */
  readonly life: { readonly timeout: number; readonly left: number } | null
  /** Of its element: see grant-comment.ts. */
  readonly comment?: string
}

/** A few less than RecentGrants keeps: when there are so many, older ones may have been forgotten. */
const manyAnswers = 260_000

interface Element {
  readonly timeout: number | null
  readonly expires: number | null
  readonly comment?: string | undefined
}

export class GrantTracker {
  readonly #actions = new ActionHistory()
  readonly #reported = new ReportedGrants(() => this.#lookBackSeconds)
  /** So far back answers matter: as long as the longest life of what they gave, or may have revoked since. */
  #lookBackSeconds = 0
  #blind = true

  /** `now` gives seconds of the clock by which `answers` were noted. */
  constructor(
    readonly marks: Marks,
    readonly now: () => number,
    readonly answers: RecentGrants,
  ) {}

  /** Whether it is known which grants run. */
  get knows(): boolean {
    return !this.#blind
  }

  /** From now on the numbers of actions mean this. To be called before the packet path answers with them. */
  useActions(actions: readonly GrantAction[]): void {
    this.#actions.use(actions, this.now())
    for (const { grants } of actions) this.#lookBack(Math.max(0, ...grants.map(({ seconds }) => seconds)))
  }

  /** Something may have happened that was not reported: until the next `takeOver` nothing is known to run. */
  forgetAll(): void {
    this.#blind = true
  }

  /** Takes over what commands did, pkctl's and those of others. */
  follow({ events, lost }: RulesetTransaction): void {
    if (lost) this.forgetAll()
    const now = this.now()
    const ours = events.filter(isOurs)
    const tableDeleted = ours.some(({ kind, verb }) => kind === 'table' && isDeletion(verb))
    // What comes together with the table was saved some time ago, and has ended since or was revoked.
    const tableAdded = ours.some(({ kind, verb }) => kind === 'table' && verb === 'add')
    for (const { kind, verb, name, elements } of ours) {
      if (!isGrantSet(name)) continue
      if (kind === 'set' && isDeletion(verb) && !tableDeleted) this.#reported.forget(name, now)
      if (kind !== 'element' || tableAdded) continue
      for (const { value, timeout, expires, comment } of elements) {
        if (isDeletion(verb)) this.#reported.delete(name, canonicalAddress(value), now)
        else this.#add(name, canonicalAddress(value), now, { timeout, expires, comment })
      }
    }
  }

  /**
   * Replaces everything by what a listing shows, which was begun at `startedAt`, but for what was followed since: the
   * listing may have been made before that.
   */
  takeOver(listing: Listing, startedAt: number): void {
    this.#reported.forgetBefore(startedAt)
    this.#blind = false
    for (const { name, elements } of listing.sets.values()) {
      if (!isGrantSet(name)) continue
      for (const { value, timeout, expires, comment } of elements) {
        const source = canonicalAddress(asText(value))
        if (this.#reported.deletedAt(name, source) >= startedAt || this.#reported.of(name).has(source)) continue
        this.#add(name, source, startedAt, { timeout: timeout ?? null, expires: expires ?? timeout ?? null, comment })
      }
    }
  }

  /** Takes over one element that the kernel was found to have. */
  accept({ set, source, life, comment }: RunningElement): void {
    this.#add(set, source, this.now(), { timeout: life?.timeout ?? null, expires: life?.left ?? null, comment })
  }

  /** Does not take the grant for one that runs any more. */
  drop({ set, source }: Pick<RunningElement, 'set' | 'source'>): void {
    this.#reported.delete(set, source, this.now())
  }

  /**
   * The grants of these services, those of the packet path latest first, `most` at most. Services whose grants are used
   * up by a connection have none: it is not known which were.
   */
  running(services: Iterable<ServiceSpec>, most = Infinity): RunningElement[] {
    if (this.#blind) return []
    const now = this.now()
    const wanted = new Map([...services].filter(({ singleUse }) => !singleUse).map(spec => [spec.name, spec]))
    const running: RunningElement[] = []
    const seen = new Set<string>()
    const take = (set: string, source: string, grant: ReportedGrant) => {
      const left = Math.floor(grant.end - now)
      if (left < 1) return
      const life = grant.end === Infinity ? null : { timeout: Math.max(1, Math.ceil(grant.timeout)), left }
      running.push({ set, source, life, ...(grant.comment === undefined ? {} : { comment: grant.comment }) })
    }
    const answersKnownAfter = this.#visitAnswers(now, wanted, (set, source, answered) => {
      const key = `${set} ${source}`
      if (seen.has(key)) return true
      seen.add(key)
      const reported = this.#reported.of(set).get(source)
      const latest = reported && reported.time > answered.time ? reported : answered
      if (this.#reported.counts(set, source, latest.time)) take(set, source, latest)
      return running.length < most
    })
    for (const spec of wanted.values()) {
      for (const set of grantSets(spec.name)) {
        for (const [source, grant] of this.#reported.of(set)) {
          if (running.length >= most) return running
          // The packet path may have revoked it, or given it less.
          if (isKnockSet(set) && grant.time <= answersKnownAfter) continue
          if (!seen.has(`${set} ${source}`) && this.#reported.counts(set, source, grant.time)) take(set, source, grant)
        }
      }
    }
    return running
  }

  /** Visits what answers granted and revoked, the latest first. Returns the time after which all answers are known. */
  #visitAnswers(
    now: number,
    services: ReadonlyMap<string, ServiceSpec>,
    visit: (set: string, source: string, grant: ReportedGrant) => boolean,
  ): number {
    let count = 0
    let knownAfter = -Infinity
    this.answers.latestFirst(now - this.#lookBackSeconds, ({ version, source, mark, time }) => {
      const action = this.#actions.at(this.marks.actionOf(mark), time)
      if (++count >= manyAnswers || action === 'forgotten') knownAfter = time
      if (action === 'forgotten') return false
      if (action === 'unknown') return true
      const address = addressFromBytes(source, 0, version)
      for (const { service, seconds } of action.grants) {
        const spec = services.get(service.name)
        if (!spec) continue
        const masked = maskAddress(address, grantPrefix(spec, version))
        const end = action.revokes ? -Infinity : time + seconds
        if (!visit(setOf(spec.name, 'knock', version), masked, { time, end, timeout: seconds })) return false
      }
      return true
    })
    return knownAfter
  }

  #add(set: string, source: string, now: number, { timeout, expires, comment }: Element): void {
    const life = timeout === null ? Infinity : (expires ?? timeout)
    if (isKnockSet(set)) this.#lookBack(life)
    this.#reported.add(set, source, now, { timeout, life, comment })
  }

  #lookBack(seconds: number): void {
    this.#lookBackSeconds = Math.max(this.#lookBackSeconds, seconds)
  }
}
