/**
 * What pkctl can do to the kernel's ruleset, in its own words: each method is one transaction at most, leaves things as
 * they are when they are right already, and says what it changed.
 */
import type { IpFamily } from '../../net/addresses.js'
import { FirewallError, NftError } from '../errors.js'
import type { Command, Hook } from '../json.js'
import { addBaseChain, addRule, addTable, deleteTable } from '../json.js'
import type { Listing } from '../listing.js'
import type { Exclusive } from '../lock.js'
import type { Nft } from '../nft.js'
import { refreshAlive } from '../table/alive.js'
import { unansweredPackets } from '../table/grant-chain.js'
import type { GrantSpec, ServiceGrant } from '../table/grant-elements.js'
import { addGrant, deleteGrant, remaskGrants, replaceGrant, versionOf, withdrawGrant } from '../table/grant-elements.js'
import type { IptablesQueue } from '../table/iptables-queue.js'
import type { PacketPathSpec } from '../table/packet-path-spec.js'
import { buildPacketPath, hasOnlyPacketPath, queueInUse, removePacketPath, stopQueue } from '../table/packet-path.js'
import { buildTable } from '../table/rebuild.js'
import { buildServices, dropTableIfEmpty, removeService } from '../table/service-changes.js'
import { decodeSpec } from '../table/service-comment.js'
import { setOf } from '../table/service-sets.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { chainOf, prefixOf } from '../table/service-spec.js'
import { refuseTakenPorts, supersededBy } from './port-conflicts.js'
import { differences } from './service-diff.js'
import type { DesiredServices, ServicePlan } from './service-plan.js'
import { prefixesDiffer, servicePlan } from './service-plan.js'
import type { ServiceState } from './service-state.js'
import { readServices } from './service-state.js'

/** The result of a change. `commands` is the transaction, empty when there was nothing to do. */
export interface Change {
  readonly changed: boolean
  /** What is different now, in a few words each, such as `reject: drop -> reset`. */
  readonly details: readonly string[]
  readonly commands: readonly Command[]
}

/** Masks an address to so many leading bits; address arithmetic is the caller's, who also parses addresses. */
export type Mask = (address: string, version: IpFamily, prefix: number) => string

const nothing: Change = { changed: false, details: [], commands: [] }

export class Firewall {
  constructor(
    readonly nft: Nft,
    readonly xtQueue: IptablesQueue,
    readonly mask: Mask,
    /** Only say what would be done. */
    readonly dryRun = false,
    readonly exclusive: Exclusive = work => work(),
  ) {}

  async services(): Promise<Map<string, ServiceState>> {
    return readServices(await this.nft.list())
  }

  /** The services, and how many knocks nobody answered. */
  async overview(): Promise<{ services: Map<string, ServiceState>; unanswered: number }> {
    const listing = await this.nft.list()
    return { services: readServices(listing), unanswered: unansweredPackets(listing) }
  }

  /**
   * Makes the services what their specs say. Grants that run go on. With `mayReplace`, a service of another name gives
   * way as it does with `install`.
   */
  ensureServices(specs: readonly ServiceSpec[], mayReplace = false): Promise<Change> {
    return this.exclusive(async () => {
      const { commands, details } = await this.#serviceCommands(specs, await this.#structure(), mayReplace)
      return this.#apply(commands, details)
    })
  }

  /** Makes a service of a new name; what goes by that name already stays as it is, whatever the spec. */
  addService(spec: ServiceSpec): Promise<Change> {
    return this.exclusive(async () => {
      const listing = await this.#structure()
      if (readServices(listing).has(spec.name)) return nothing
      const { commands, details } = await this.#serviceCommands([spec], listing)
      return this.#apply(commands, details)
    })
  }

  /**
   * Puts services in place and takes others away, in one transaction. `prepare` is told what is about to happen, while
   * nobody else can change anything; it may name grants that are made by the way, or throw to call the whole off.
   */
  rearrange(
    arrangement: DesiredServices,
    prepare: (plan: ServicePlan) => Promise<readonly ServiceGrant[]> = () => Promise.resolve([]),
  ): Promise<Change & { readonly plan: ServicePlan }> {
    return this.exclusive(async () => {
      const { specs, grants = [], revoke = [], replace = false } = arrangement
      const listing = await this.#structure()
      const existing = readServices(listing)
      const wanted = new Set(specs.map(({ name }) => name))
      const others = [...existing.keys()].filter(name => !wanted.has(name))
      const asked = arrangement.remove
      const unwanted = asked === 'others' ? others : others.filter(name => asked.includes(name))
      const { commands, details, replaced } = await this.#serviceCommands(specs, listing, replace, unwanted)
      const masksChange = specs.some(spec => prefixesDiffer(spec, existing.get(spec.name)?.spec))
      const before = replaced.length > 0 || masksChange ? await this.services() : existing
      const plan = servicePlan(specs, replaced, before)
      const more = await prepare(plan)
      const given = this.#masked([...grants, ...more], plan.after).flatMap(replaceGrant)
      const taken = this.#masked(revoke, plan.after).flatMap(withdrawGrant)
      const gone = plan.after.size === 0 ? dropTableIfEmpty(replaced, listing) : []
      const all = [...details, ...more.map(({ source }) => `${source} granted`)]
      return { ...(await this.#apply([...commands, ...taken, ...given, ...gone], all)), plan }
    })
  }

  /**
   * How long a grant for the address will run once the service is as `spec` says, by knock or by hand: Infinity without
   * end, and 0 where there is none.
   */
  async secondsGranted(spec: GrantSpec, version: IpFamily, address: string, now: GrantSpec = spec): Promise<number> {
    const source = this.mask(address, version, prefixOf(now, version))
    const length = prefixOf(spec, version)
    if (this.mask(source, version, length) !== this.mask(address, version, length)) return 0
    let longest = 0
    for (const role of ['knock', 'add'] as const) {
      const grant = await this.#grantIn(setOf(spec.name, role, version), source)
      // One that is in its last second still runs.
      if (grant) longest = Math.max(longest, grant.left, 1)
    }
    return longest
  }

  /** The grants by hand in whose place these would come. */
  async replacedBy(
    grants: readonly ServiceGrant[],
    services: ReadonlyMap<string, ServiceState>,
  ): Promise<readonly ServiceGrant[]> {
    const specs = new Map([...services].map(([name, { spec }]) => [name, spec]))
    const replaced: ServiceGrant[] = []
    for (const grant of this.#masked(grants, specs)) {
      const there = await this.#grantIn(setOf(grant.service, 'add', versionOf(grant)), grant.source)
      if (there) replaced.push({ ...grant, secondsLeft: there.left === Infinity ? null : there.left })
    }
    return replaced
  }

  removeService(name: string): Promise<Change> {
    return this.exclusive(async () => {
      const listing = await this.#structure()
      if (!listing.chains.has(chainOf(name))) return nothing
      return this.#apply(removeService(name, listing), [`service ${name} removed`])
    })
  }

  /** Grants an address, for `seconds` or without end. A grant that is there is extended, and never made shorter. */
  addGrant(service: string, version: IpFamily, address: string, seconds: number | null): Promise<Change> {
    return this.exclusive(async () => {
      const spec = await this.#require(service)
      const source = this.mask(address, version, prefixOf(spec, version))
      const existing = await this.#grantIn(setOf(service, 'add', version), source)
      if (existing && (existing.left === Infinity || (seconds !== null && existing.left > seconds))) return nothing
      const detail = existing ? `${source} extended` : `${source} granted`
      return this.#apply(addGrant(spec, version, source, seconds), [detail])
    })
  }

  deleteGrant(service: string, version: IpFamily, address: string): Promise<Change> {
    return this.exclusive(async () => {
      const spec = await this.#require(service)
      const source = this.mask(address, version, prefixOf(spec, version))
      const byKnock = await this.#grantIn(setOf(service, 'knock', version), source)
      const byHand = await this.#grantIn(setOf(service, 'add', version), source)
      if (!byKnock && !byHand) return nothing
      return this.#apply(deleteGrant(spec, version, source), [`${source} deleted`])
    })
  }

  /**
   * Services and packet path together, in one transaction; what `packetPathFor` makes of the services there will be. A
   * service of another name that guards nothing but what the new ones guard gives way to them. `table` is the number
   * that the table must have, for its services to be believed.
   */
  install(
    specs: readonly ServiceSpec[],
    packetPathFor: (services: ReadonlyMap<string, ServiceSpec>) => PacketPathSpec,
    table?: number,
  ): Promise<Change> {
    return this.exclusive(async () => {
      const listing = await this.#structure()
      if (table !== undefined && !(listing.present && listing.handle === table)) {
        throw new FirewallError('replaced', 'somebody else took the table inet pkctl away just now; try again')
      }
      const { commands, details, replaced } = await this.#serviceCommands(specs, listing, true)
      const services = new Map([...readServices(listing)].map(([name, state]) => [name, state.spec]))
      for (const name of replaced) services.delete(name)
      for (const spec of specs) services.set(spec.name, spec)
      const packetPath = packetPathFor(services)
      let all = [...commands, ...buildPacketPath(packetPath, listing)]
      try {
        await this.nft.check(all)
      } catch (error) {
        if (!(error instanceof NftError) || error.kind !== 'busy') throw error
        // Somebody's rule leads into our chains, or the kernel lost count of what does (6.1 up to 6.1.0-50 on Debian).
        all = buildTable(services, packetPath, this.#masked(await this.#grants(), services))
        details.push(
          'something held on to chains of the table inet pkctl, so that it was made anew, with all grants but those of single use',
        )
        await this.nft.check(all)
      }
      try {
        // Before the chains that mark for it; while it is there alone, it finds nothing to queue.
        if (packetPath.native) await this.xtQueue.remove().catch(ignoreMissingTool)
        else await this.xtQueue.install(packetPath.hook, packetPath.marks.queued, packetPath.queue)
        return await this.#apply(all, details)
      } catch (error) {
        if (queueInUse(listing) === undefined) await this.xtQueue.remove().catch(() => undefined)
        throw error
      }
    })
  }

  /** The queue to which a packet path in the kernel sends, whoever made it. */
  async queueInUse(): Promise<number | undefined> {
    return queueInUse(await this.nft.list({ elements: false }))
  }

  /** Says to services with fail-open that knocks are listened for. */
  stayAlive(): Promise<void> {
    return this.exclusive(() => this.nft.apply(refreshAlive()))
  }

  /** Lets nothing more leave the kernel. Answers to what has left already still grant. */
  quiesce(): Promise<void> {
    return this.exclusive(async () => this.nft.apply(stopQueue(await this.nft.list({ elements: false }))))
  }

  /** Takes the packet path away. Services stay closed, grants run on. */
  uninstall(): Promise<void> {
    return this.exclusive(async () => {
      const listing = await this.#structure()
      await this.nft.apply(hasOnlyPacketPath(listing) ? [deleteTable()] : removePacketPath(listing))
      await this.xtQueue.remove().catch(ignoreMissingTool)
    })
  }

  /** Whether the kernel has nft's `queue` statement. NftError when nothing can be done here at all. */
  async probe(hook: Hook): Promise<{ nativeQueue: boolean }> {
    const base = [addTable(), addBaseChain('probe', hook, 0)]
    const queue = addRule('probe', [{ queue: { num: 0, flags: ['bypass'] } }])
    try {
      await this.nft.check([...base, queue])
      return { nativeQueue: true }
    } catch (error) {
      if (!(error instanceof NftError) || (error.kind !== 'not-found' && error.kind !== 'unsupported')) throw error
    }
    await this.nft.check(base)
    return { nativeQueue: false }
  }

  /** Chains and rules, the maps that lead to services, and the prefixes that are always allowed. */
  async #structure(): Promise<Listing> {
    const listing = await this.nft.list({ elements: false })
    const maps = [...listing.maps.keys()].filter(name => /^(services|ranges)-/.test(name))
    const allowed = [...listing.sets.keys()].filter(name => name.includes('.allow-'))
    const filled = { ...listing, maps: new Map(listing.maps), sets: new Map(listing.sets) }
    for (const name of maps) {
      for (const [key, map] of (await this.nft.listSet('map', name)).maps) filled.maps.set(key, map)
    }
    // Beyond a few services one listing of everything is quicker than a process for each.
    if (allowed.length > 8) return this.nft.list()
    for (const name of allowed) {
      for (const [key, set] of (await this.nft.listSet('set', name)).sets) filled.sets.set(key, set)
    }
    return filled
  }

  /** `unwanted` services go as well. */
  async #serviceCommands(
    specs: readonly ServiceSpec[],
    listing: Listing,
    mayReplace = false,
    unwanted: readonly string[] = [],
  ) {
    const existing = readServices(listing)
    const superseded = mayReplace ? supersededBy(specs, existing).filter(name => !unwanted.includes(name)) : []
    const replaced = [...unwanted, ...superseded]
    refuseTakenPorts(specs, existing, replaced)
    const differing = specs.filter(spec => differences(spec, existing.get(spec.name)).length > 0)
    const details = differing.flatMap(spec => {
      const changes = differences(spec, existing.get(spec.name))
      return changes.map(change => (specs.length > 1 ? `${spec.name}: ${change}` : change))
    })
    for (const name of unwanted) details.push(`service ${name} removed`)
    for (const name of superseded) details.push(`service ${name} gave way to those that guard its ports now`)
    const masked = differing.filter(spec => prefixesDiffer(spec, existing.get(spec.name)?.spec))
    const full = masked.length > 0 ? await this.nft.list() : listing
    const remasked = masked.flatMap(spec =>
      remaskGrants(spec, full, (address, version) => this.mask(address, version, prefixOf(spec, version))),
    )
    return { commands: [...buildServices(differing, listing, replaced), ...remasked], details, replaced }
  }

  /** What a grant needs to know of its service. Looks at chains and rules only: quick, however many services there are. */
  async #require(service: string): Promise<GrantSpec> {
    const { chains } = await this.nft.list({ elements: false })
    const kept = decodeSpec(chains.get(chainOf(service))?.rules.at(-1)?.comment)
    if (kept) return { name: service, prefix4: kept.prefix4, prefix6: kept.prefix6 }
    throw new FirewallError(
      'no-service',
      `there is no service ${service}`,
      `pkctl init ${service} --port PORT makes it`,
    )
  }

  /** The grant of a source in a set, with the seconds that are left of it. */
  async #grantIn(set: string, source: string): Promise<{ left: number } | undefined> {
    const element = await this.nft.getElement(set, source)
    if (!element) return undefined
    return { left: element.timeout === undefined ? Infinity : (element.expires ?? element.timeout) }
  }

  /** The grants of services that there will be, with their sources as those services keep them. */
  #masked(grants: readonly ServiceGrant[], services: ReadonlyMap<string, ServiceSpec>): ServiceGrant[] {
    return grants.flatMap(grant => {
      const spec = services.get(grant.service)
      if (!spec) return []
      const version = versionOf(grant)
      const address = grant.source.replace(/\/.*/, '')
      return [{ ...grant, source: this.mask(address, version, prefixOf(spec, version)) }]
    })
  }

  /** Those that may be given again: not of single use, for one may be used up before it is there again. */
  async #grants(): Promise<ServiceGrant[]> {
    return [...(await this.services())].flatMap(([service, { spec, grants }]) =>
      spec.singleUse ? [] : grants.map(grant => ({ service, ...grant })),
    )
  }

  async #apply(commands: readonly Command[], details: readonly string[]): Promise<Change> {
    if (commands.length === 0) return nothing
    if (this.dryRun) await this.nft.check(commands)
    else await this.nft.apply(commands)
    return { changed: true, details, commands }
  }
}

function ignoreMissingTool(error: unknown): void {
  if (!(error instanceof NftError) || error.kind !== 'missing-tool') throw error
}
