/**
 * The grants by knock: notes whose they are, and revokes those of a user or a credential. A grant that others have, too, stays for as long as it would without the user: the kernel has one for all who knock from an address.
 */
import { parseAddress, prefixContains } from '../../net/index.js'
import type { Firewall, ServiceGrant, ServiceState } from '../../nft/index.js'
import type { RequestedPart } from '../verify/requested-part.js'
import { partOf } from '../verify/requested-part.js'
import type { Effect, KnockEvent } from '../report/knock-events.js'
import type { Granted } from '../report/knock-messages.js'
import type { KnockGrant, KnockGrantStore } from './knock-grant-store.js'
import type { TriggerSchedule } from '../triggers/trigger-schedule.js'

/** A user, by the name in the log, and by keys or CAs. */
export interface RevokedUser {
  /** null: all who knock by the credential. */
  readonly user: string | null
  /** Fingerprints, as ssh-keygen prints them. */
  readonly keys: readonly string[]
  /** Only grants of this credential; null for all. */
  readonly credential: string | null
}

/** A grant of a credential that runs. */
export interface RunningGrant extends RevokedGrant {
  readonly credential: string
}

/** Who has knocked for a grant. */
export interface GrantOwner extends Pick<KnockGrant, 'service' | 'by' | 'address' | 'credential' | 'user' | 'key'> {
  /** Unix seconds; null where it is not known. */
  readonly at: number | null
}

interface RevokedGrant {
  readonly service: string
  /** An address, or the prefix that the service grants with it. */
  readonly source: string
}

export interface RevokedGrants {
  readonly revoked: readonly RevokedGrant[]
  /** Those that others have, too. */
  readonly kept: readonly (RevokedGrant & { readonly secondsLeft: number | null })[]
}

interface KnockGrantsParts {
  readonly store: Pick<KnockGrantStore, 'note' | 'end' | 'running' | 'forget'>
  readonly firewall: Pick<Firewall, 'services' | 'apply'>
  readonly triggers: Pick<TriggerSchedule, 'closed'>
  /** What a credential grants; undefined when it is gone from the configuration. */
  readonly grantsOf: (credential: string) => Granted | undefined
  /** Seconds of the clock of the store. */
  readonly now: () => number
  /** Unix milliseconds. */
  readonly date: () => number
}

type SignedEffect = Extract<Effect, { kind: 'signed' }>

/** How much later than noted the kernel may have made a grant, in seconds. */
export const slackSeconds = 3

export class KnockGrants {
  constructor(readonly parts: KnockGrantsParts) {}

  /** Notes what a signed knock was granted, or what it revoked; of one that no user signs, what a command grants it. */
  note({ credential, address: written, signer, by, part }: SignedEffect): void {
    const { store, now } = this.parts
    const { address } = parseAddress(written)
    for (const { service, seconds } of this.#grants(credential, part)) {
      // The kernel has revoked what it has made itself; a grant by hand runs on.
      if (by === 'close') {
        store.end(service.name, address, 'knock')
        continue
      }
      const { user = null, fingerprint: key = null, authority = null } = signer ?? {}
      const whose = { credential, service: service.name, by, address, user, key, authority }
      store.note({ ...whose, until: now() + seconds, at: this.#at() })
    }
  }

  /** The same of a knock that no user signs and the kernel carries out, by what the log is told of it. */
  noteEvent({ kind, credential, source, onBehalfOf, part, signer, byCommand, noted }: KnockEvent): void {
    if (kind === 'refuse' || credential === undefined || signer || noted) return
    // What a command grants is noted before this, and what it revokes when that is done.
    if (byCommand || onBehalfOf !== undefined || part) return
    const { store, now } = this.parts
    const { address } = parseAddress(source)
    for (const { service, seconds } of this.#grants(credential, part)) {
      if (kind === 'revoke') store.end(service.name, address, 'knock')
      else {
        const unsigned = { user: null, key: null, authority: null }
        const whose = { ...unsigned, credential, service: service.name, by: 'knock', address } as const
        store.note({ ...whose, until: now() + seconds, at: this.#at() })
      }
    }
  }

  /** What runs by these credentials, as the kernel has it; they may be gone from the configuration. */
  async running(credentials: readonly string[]): Promise<readonly RunningGrant[]> {
    const mine = this.parts.store.running().filter(({ credential }) => credentials.includes(credential))
    if (mine.length === 0) return []
    const services = await this.parts.firewall.services()
    return credentials.flatMap(credential => {
      const its = mine.filter(grant => grant.credential === credential)
      return [...groupBySource(its, services).values()].map(({ grant }) => ({ credential, ...placeOf(grant) }))
    })
  }

  /**
   * A command has deleted what the source had of the service: those who knocked for it have nothing of what comes after. Whose
   * knock may have come since stays known.
   */
  deleted(service: string, source: string): void {
    const { store } = this.parts
    const before = this.#at() - slackSeconds
    const isOver = ({ at = 0, ...one }: KnockGrant) =>
      one.service === service && at < before && prefixContains(source, one.address)
    store.forget(store.running().filter(isOver))
  }

  /** Who is behind the grants that run: those who knocked last are last. */
  whose(): readonly GrantOwner[] {
    return this.parts.store
      .running()
      .map(({ service, by, address, credential, user, key, at = null }) => ({
        ...{ service, by, address, credential, user, key, at },
      }))
      .sort((a, b) => (a.at ?? 0) - (b.at ?? 0))
  }

  /** Revokes all that runs for the user. Rejects with what the firewall says. */
  async revoke(whose: RevokedUser): Promise<RevokedGrants> {
    const { store, firewall, triggers } = this.parts
    const running = store.running()
    const mine = running.filter(grant => isOf(grant, whose))
    if (mine.length === 0) return { revoked: [], kept: [] }
    const services = await firewall.services()
    const others = running.filter(grant => !isOf(grant, whose))
    const shared = groupBySource(others, services)
    const revoke: ServiceGrant[] = []
    const kept: ServiceGrant[] = []
    const cut: ServiceGrant[] = []
    for (const [name, { grant, until }] of groupBySource(mine, services)) {
      const left = this.#left(until)
      const isLater = (grant.secondsLeft ?? Infinity) > left + slackSeconds
      const ofOthers = this.#left(shared.get(name)?.until ?? 0)
      if (isLater) kept.push(grant)
      else if (ofOthers <= 0) revoke.push(grant)
      else {
        const secondsLeft = Math.min(ofOthers, grant.secondsLeft ?? Infinity)
        const one = { ...grant, secondsLeft: secondsLeft === Infinity ? null : Math.ceil(secondsLeft) }
        kept.push(one)
        cut.push(one)
      }
    }
    if (revoke.length + cut.length > 0) await firewall.apply({ specs: [], revoke, grants: cut })
    const isRevoked = ({ service, address }: KnockGrant) =>
      revoke.some(({ service: name, source }) => name === service && source === sourceOf(address, services.get(name)))
    const ended = new Map<string, KnockGrant>()
    for (const grant of mine) {
      if (!isRevoked(grant)) continue
      store.end(grant.service, grant.address)
      ended.set(`${grant.credential} ${grant.address}`, grant)
    }
    for (const { credential, address } of ended.values()) triggers.closed(credential, address)
    const places = new Map(revoke.map(grant => [`${grant.service} ${grant.source}`, placeOf(grant)]))
    return {
      revoked: [...places.values()],
      kept: kept.map(one => ({ ...placeOf(one), secondsLeft: one.secondsLeft })),
    }
  }

  #grants(credential: string, part: RequestedPart | undefined): Granted {
    return partOf(this.parts.grantsOf(credential) ?? [], part)
  }

  #at(): number {
    return Math.floor(this.parts.date() / 1000)
  }

  #left(until: number): number {
    return until - this.parts.now()
  }
}

const isOf = (grant: KnockGrant, { user, keys, credential }: RevokedUser) =>
  (credential === null || grant.credential === credential) &&
  (user === null ||
    grant.user === user ||
    (grant.key !== null && keys.includes(grant.key)) ||
    (grant.authority !== null && keys.includes(grant.authority)))

/** By service, kind and source: what the kernel has, and until when the last of them ends. */
function groupBySource(
  grants: readonly KnockGrant[],
  services: ReadonlyMap<string, ServiceState>,
): Map<string, { readonly grant: ServiceGrant; readonly until: number }> {
  const groups = new Map<string, { grant: ServiceGrant; until: number }>()
  for (const { service, by, address, until } of grants) {
    const state = services.get(service)
    const source = sourceOf(address, state)
    const found = state?.grants.find(one => one.by === by && one.source === source)
    if (!found) continue
    const name = `${service} ${by} ${source}`
    groups.set(name, { grant: { service, ...found }, until: Math.max(until, groups.get(name)?.until ?? 0) })
  }
  return groups
}

/** The grant's source as the service has it: the address, or the prefix with it. */
function sourceOf(address: string, state: ServiceState | undefined): string | undefined {
  return state?.grants.find(({ source }) => prefixContains(source, address))?.source
}

const placeOf = ({ service, source }: ServiceGrant): RevokedGrant => ({ service, source })
