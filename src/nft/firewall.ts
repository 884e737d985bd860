/**
 * What pkctl can do to the kernel's ruleset, in its own words: each method is one transaction at most, leaves things as
 * they are when they are right already, and says what it changed.
 */
import { NftError } from './errors.js'
import { addGrant, deleteGrant, remaskGrants } from './grants.js'
import type { Command, Hook, IpFamily } from './json.js'
import { addBaseChain, addRule, addTable, deleteTable } from './json.js'
import type { Listing } from './listing.js'
import type { Exclusive } from './lock.js'
import { asText } from './listing.js'
import type { Nft } from './nft.js'
import type { Queueing } from './queueing.js'
import { buildQueueing, onlyQueueing, removeQueueing } from './queueing.js'
import type { ServiceSpec } from './service.js'
import { buildServices, chainOf, prefixOf, removeService, setOf } from './service.js'
import type { Grant, ServiceState } from './state.js'
import { readServices } from './state.js'
import type { XtQueue } from './xtqueue.js'

/** The result of a change. `commands` is the transaction, empty when there was nothing to do. */
export interface Change {
  readonly changed: boolean
  /** What is different now, in a few words each, such as `reject: drop -> reset`. */
  readonly details: readonly string[]
  readonly commands: readonly Command[]
}

/** A change that cannot be made as asked; nothing was touched. */
export class FirewallError extends Error {
  override readonly name = 'FirewallError'

  constructor(
    readonly kind: 'no-service' | 'port-taken',
    message: string,
    readonly hint?: string,
  ) {
    super(message)
  }
}

/** Masks an address to so many leading bits; address arithmetic is the caller's, who also parses addresses. */
export type Mask = (address: string, version: IpFamily, prefix: number) => string

const nothing: Change = { changed: false, details: [], commands: [] }

export class Firewall {
  constructor(
    readonly nft: Nft,
    readonly xtQueue: XtQueue,
    readonly mask: Mask,
    /** Only say what would be done. */
    readonly dryRun = false,
    readonly exclusive: Exclusive = work => work(),
  ) {}

  async services(): Promise<Map<string, ServiceState>> {
    return readServices(await this.nft.list())
  }

  /** The services, without what is in their sets of grants: quick, however many grants there are. */
  async serviceSpecs(): Promise<Map<string, ServiceState>> {
    return readServices(await this.#structure())
  }

  /** Makes the services what their specs say. Grants that run go on. */
  ensureServices(specs: readonly ServiceSpec[]): Promise<Change> {
    return this.exclusive(async () => {
      const { commands, details } = await this.#serviceCommands(specs, await this.#structure())
      return this.#apply(commands, details)
    })
  }

  removeService(name: string): Promise<Change> {
    return this.exclusive(async () => {
      const listing = await this.#structure()
      if (!listing.chains.has(chainOf(name))) return nothing
      return this.#apply(removeService(name, listing), [`service ${name} removed`])
    })
  }

  /** Grants an address, for `seconds` or without end. Whoever has such a grant already gets it anew. */
  addGrant(service: string, version: IpFamily, address: string, seconds: number | null): Promise<Change> {
    return this.exclusive(async () => {
      const spec = await this.#require(service)
      const source = this.mask(address, version, prefixOf(spec, version))
      const grants = await this.#grantsOf(spec, version)
      const existing = grants.get(source)?.find(grant => grant.by === 'hand')
      if (existing?.secondsLeft === null && seconds === null) return nothing
      const detail = existing ? `${source} extended` : `${source} granted`
      return this.#apply(addGrant(spec, version, source, seconds), [detail])
    })
  }

  deleteGrant(service: string, version: IpFamily, address: string): Promise<Change> {
    return this.exclusive(async () => {
      const spec = await this.#require(service)
      const source = this.mask(address, version, prefixOf(spec, version))
      const grants = await this.#grantsOf(spec, version)
      if (!grants.has(source)) return nothing
      return this.#apply(deleteGrant(spec, version, source), [`${source} deleted`])
    })
  }

  /** Services and packet path together, in one transaction; what `queueingOf` makes of the services there will be. */
  install(
    specs: readonly ServiceSpec[],
    queueingOf: (services: ReadonlyMap<string, ServiceSpec>) => Queueing,
  ): Promise<Change> {
    return this.exclusive(async () => {
      const listing = await this.#structure()
      const { commands, details } = await this.#serviceCommands(specs, listing)
      const services = new Map([...readServices(listing)].map(([name, state]) => [name, state.spec]))
      for (const spec of specs) services.set(spec.name, spec)
      const queueing = queueingOf(services)
      const all = [...commands, ...buildQueueing(queueing, listing)]
      await this.nft.check(all)
      // The rule finds nothing to queue before the transaction, and all of it right after.
      if (queueing.native) await this.xtQueue.remove().catch(ignoreMissingTool)
      else await this.xtQueue.install(queueing.hook, queueing.marks.queued, queueing.queue)
      return this.#apply(all, details)
    })
  }

  /** Takes the packet path away. Services stay closed, grants run on. */
  uninstall(): Promise<void> {
    return this.exclusive(async () => {
      const listing = await this.#structure()
      await this.nft.apply(onlyQueueing(listing) ? [deleteTable()] : removeQueueing(listing))
      await this.xtQueue.remove().catch(ignoreMissingTool)
    })
  }

  /** Whether the kernel has nft's `queue` statement. NftError when nothing can be done here at all. */
  async probe(hook: Hook): Promise<{ nativeQueue: boolean }> {
    const base = [addTable(), addBaseChain('probe', hook, 0)]
    await this.nft.check(base)
    const queue = addRule('probe', [{ queue: { num: 0, flags: ['bypass'] } }])
    return this.nft.check([...base, queue]).then(
      () => ({ nativeQueue: true }),
      (error: unknown) => {
        if (error instanceof NftError && (error.kind === 'not-found' || error.kind === 'unsupported')) {
          return { nativeQueue: false }
        }
        throw error
      },
    )
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

  async #serviceCommands(specs: readonly ServiceSpec[], listing: Listing) {
    const existing = readServices(listing)
    refuseTakenPorts(specs, existing)
    const differing = specs.filter(spec => differences(spec, existing.get(spec.name)).length > 0)
    const details = differing.flatMap(spec => {
      const changes = differences(spec, existing.get(spec.name))
      return changes.map(change => (specs.length > 1 ? `${spec.name}: ${change}` : change))
    })
    const masked = differing.filter(spec => {
      const { prefix4, prefix6 } = existing.get(spec.name)?.spec ?? spec
      return prefix4 !== spec.prefix4 || prefix6 !== spec.prefix6
    })
    const full = masked.length > 0 ? await this.nft.list() : listing
    const remasked = masked.flatMap(spec =>
      remaskGrants(spec, full, (address, version) => this.mask(address, version, prefixOf(spec, version))),
    )
    return { commands: [...buildServices(differing, listing), ...remasked], details }
  }

  async #require(service: string): Promise<ServiceSpec> {
    const state = readServices(await this.#structure()).get(service)
    if (state) return state.spec
    throw new FirewallError(
      'no-service',
      `there is no service ${service}`,
      `pkctl init ${service} --port PORT makes it`,
    )
  }

  /** The grants of one address family, by source without prefix length. */
  async #grantsOf(spec: ServiceSpec, version: IpFamily): Promise<Map<string, Grant[]>> {
    const grants = new Map<string, Grant[]>()
    for (const role of ['knock', 'add'] as const) {
      const name = setOf(spec.name, role, version)
      for (const element of (await this.nft.listSet('set', name)).sets.get(name)?.elements ?? []) {
        const source = asText(element.value)
        const secondsLeft = element.timeout === undefined ? null : (element.expires ?? element.timeout)
        const grant: Grant = { source, by: role === 'knock' ? 'knock' : 'hand', secondsLeft }
        grants.set(source, [...(grants.get(source) ?? []), grant])
      }
    }
    return grants
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

/** How the service in the kernel differs from the spec; empty when it is just so. */
function differences(spec: ServiceSpec, state: ServiceState | undefined): string[] {
  if (!state) return [`service ${spec.name} added`]
  const keys = Object.keys(spec) as (keyof ServiceSpec)[]
  const different = keys.filter(key => text(spec[key]) !== text(state.spec[key]))
  const changes = different.map(key => `${key}: ${text(state.spec[key])} -> ${text(spec[key])}`)
  return state.sound ? changes : [...changes, `service ${spec.name} mended: its rules were not as pkctl made them`]
}

function text(value: ServiceSpec[keyof ServiceSpec]): string {
  if (typeof value !== 'object' || value === null) return String(value)
  if (!Array.isArray(value)) return JSON.stringify(value)
  const items = value as readonly (string | { first: number; last: number })[]
  const words = items.map(item =>
    typeof item === 'string' ? item : item.first === item.last ? String(item.first) : `${item.first}-${item.last}`,
  )
  return words.sort().join(',') || 'none'
}

function refuseTakenPorts(specs: readonly ServiceSpec[], existing: ReadonlyMap<string, ServiceState>): void {
  const names = new Set(specs.map(spec => spec.name))
  const others = [...existing.values()].map(state => state.spec).filter(spec => !names.has(spec.name))
  for (const spec of specs) {
    const taken = [...others, ...specs].find(other => other.name !== spec.name && overlap(spec, other))
    if (!taken) continue
    const message = `service ${spec.name}: port ${text(spec.ports)} is guarded by service ${taken.name} already`
    throw new FirewallError('port-taken', message, `pkctl list ${taken.name} shows it`)
  }
}

function overlap(a: ServiceSpec, b: ServiceSpec): boolean {
  const sameProtocol = a.protocol === b.protocol || a.protocol === 'any' || b.protocol === 'any'
  return (
    a.hook === b.hook && sameProtocol && a.ports.some(x => b.ports.some(y => x.first <= y.last && y.first <= x.last))
  )
}
