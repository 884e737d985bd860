/**
 * Keeps in mind what pkctl's table should be like, services made by command included, and puts it back when somebody
 * else deleted or changed it, with the grants that run. Commands of pkctl are no damage: what they leave is kept.
 */
import type { Command, Json } from '../json.js'
import { addChain, addElements, addTable, deleteChain, family as ownFamily, table as ownTable } from '../json.js'
import type { Listing } from '../listing.js'
import { emptyListing } from '../listing.js'
import type { PacketPathSpec } from '../table/packet-path-spec.js'
import { buildPacketPath } from '../table/packet-path.js'
import { buildTable } from '../table/rebuild.js'
import { buildServices } from '../table/service-changes.js'
import type { ServiceSpec } from '../table/service-spec.js'
import type { Firewall } from './firewall.js'
import type { GrantTracker, RunningGrant } from './grant-tracker.js'
import type { RulesetEvent, RulesetTransaction } from './monitor.js'
import { collide } from './port-conflicts.js'
import { readServices } from './service-state.js'
import type { Comparison, Snapshot } from './snapshot.js'
import { comparedMaps, comparedSets, compareSnapshot, takeSnapshot } from './snapshot.js'

type PacketPathFor = (services: ReadonlyMap<string, ServiceSpec>) => PacketPathSpec

/** What was wrong, and how many grants were put back; nothing was wrong when `damages` is empty. */
export interface Reconciliation {
  readonly damages: readonly string[]
  readonly restored: number
}

type Drift = Extract<Comparison, { kind: 'damaged' }>

/** So many grants go back in one transaction. */
const grantsAtOnce = 5000
/** How long to wait until the watch tells of what we did. */
const patienceMilliseconds = 1000
/** Up to so many sets and maps are listed one by one, at the same time. */
const maxSingleListings = 16

export class Reconciler {
  #snapshot: Snapshot | undefined
  #packetPath: PacketPathSpec | undefined
  /** Who waits for the watch to come to a sign, by the sign's name. */
  readonly #waiting = new Map<string, () => void>()
  #signs = 0

  constructor(
    readonly firewall: Firewall,
    readonly book: GrantTracker,
  ) {}

  /** The number of the table that is as it should be. */
  get table(): number | undefined {
    return this.#snapshot?.table
  }

  /** What was installed is what should be there from now on. */
  adopt(
    commands: readonly Command[],
    services: ReadonlyMap<string, ServiceSpec>,
    packetPath: PacketPathSpec,
  ): Promise<void> {
    return this.firewall.exclusive(() => this.#adopt(commands, services, packetPath))
  }

  /**
   * Compares, and mends what somebody else changed. `queueRule` says that the rule in the mangle table may be gone.
   * Rejects with an NftError, and when the lock cannot be had; then nothing has changed.
   */
  reconcile(packetPathFor: PacketPathFor, queueRule: boolean): Promise<Reconciliation> {
    return this.firewall.exclusive(async () => {
      const mending = await this.#compare(packetPathFor)
      if (mending.damages.length > 0 || !queueRule || !(await this.#putQueueRule())) return mending
      // It may have gone in the same flush as the table, just after that was looked at.
      const { damages, restored } = await this.#compare(packetPathFor)
      return { damages: [...damages, 'the rule that queues knocks was deleted'], restored }
    })
  }

  /** Compares, and wakes a table that cannot be listed: nft 1.0.6 may end in the middle of one that sleeps. */
  async #compare(packetPathFor: PacketPathFor): Promise<Reconciliation> {
    try {
      return await this.#compareListed(packetPathFor)
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      await this.firewall.nft.apply([addTable()])
      const { damages, restored } = await this.#compareListed(packetPathFor)
      return { damages: ['the table sleeps', ...damages], restored }
    }
  }

  async #compareListed(packetPathFor: PacketPathFor): Promise<Reconciliation> {
    const before = this.#snapshot
    if (!before) return { damages: [], restored: 0 }
    const terse = await this.firewall.nft.list({ elements: false })
    if (!terse.present) return this.#rebuild(before, terse, packetPathFor, 'the table inet pkctl was deleted')
    const listing = await this.#filled(terse)
    if (listing.handle !== before.table) {
      return this.#rebuild(before, listing, packetPathFor, 'the table inet pkctl was replaced')
    }
    const judgement = compareSnapshot(before, listing)
    if (judgement.kind === 'damaged') return this.#repair(judgement, before, listing, packetPathFor)
    this.#snapshot = judgement.snapshot
    return { damages: [], restored: 0 }
  }

  /** Takes over what the watch tells. */
  follow(transaction: RulesetTransaction): void {
    this.book.follow(transaction)
    for (const event of transaction.events) if (isSign(event)) this.#waiting.get(event.name)?.()
  }

  /**
   * Asks the kernel which grants run: at the start, and when something may have happened that was not told. False when
   * the watch does not see yet, or `isCurrent` no longer, so that it has to be asked again.
   */
  async learnGrants(isCurrent: () => boolean): Promise<boolean> {
    if (!this.#snapshot) return false
    const sign = this.#sign()
    await this.firewall.nft.apply(sign.commands)
    if (!(await sign.seen())) return false
    const startedAt = this.book.now()
    const listing = await this.firewall.nft.list()
    if (!isCurrent() || !listing.present || listing.handle !== this.#snapshot.table) return false
    this.book.takeOver(listing, startedAt)
    return true
  }

  /** A chain that comes and goes in one transaction: when the watch tells of it, it has told of all before it. */
  #sign(): { commands: readonly Command[]; seen: () => Promise<boolean> } {
    const name = `${signPrefix}${++this.#signs}`
    const told = new Promise<boolean>(resolve => {
      this.#waiting.set(name, () => {
        resolve(true)
      })
    })
    return {
      commands: [addChain(name), deleteChain(name)],
      seen: async () => {
        let timer: NodeJS.Timeout | undefined
        const late = new Promise<boolean>(resolve => {
          // Whoever ends meanwhile is not kept by it.
          timer = setTimeout(resolve, patienceMilliseconds, false).unref()
        })
        const seen = await Promise.race([told, late])
        clearTimeout(timer)
        this.#waiting.delete(name)
        return seen
      },
    }
  }

  /** Mends in place: sets that are there keep what they contain. */
  async #repair(
    damage: Drift,
    before: Snapshot,
    listing: Listing,
    packetPathFor: PacketPathFor,
  ): Promise<Reconciliation> {
    const { damages, broken, services } = damage
    const packetPath = packetPathFor(services)
    const sign = this.#sign()
    const commands = [addTable(), ...buildServices(broken, listing), ...buildPacketPath(packetPath, listing)]
    try {
      await this.firewall.nft.apply([...commands, ...sign.commands])
    } catch {
      // Something stands in the way, a chain of somebody else that leads into ours, say.
      return this.#rebuild(before, listing, packetPathFor, damages.join(', '))
    }
    await this.#after(commands, services, packetPath)
    return { damages, restored: await this.#restore(services, listing, sign.seen) }
  }

  /** All anew, from memory, in one transaction; whatever else is in the table goes. */
  async #rebuild(
    before: Snapshot,
    listing: Listing,
    packetPathFor: PacketPathFor,
    damage: string,
  ): Promise<Reconciliation> {
    const services = new Map([...before.services].map(([name, { spec }]) => [name, spec]))
    // Somebody may have made a service by command in the meantime.
    for (const { spec, sound } of readServices(listing).values()) {
      if (sound && !services.has(spec.name) && [...services.values()].every(other => !collide(spec, other)))
        services.set(spec.name, spec)
    }
    const packetPath = packetPathFor(services)
    const sign = this.#sign()
    const commands = buildTable(services, packetPath)
    await this.firewall.nft.apply([...commands, ...sign.commands])
    await this.#after(commands, services, packetPath)
    return { damages: [damage], restored: await this.#restore(services, emptyListing(), sign.seen) }
  }

  /**
   * Puts the grants back into the sets that `before` did not have. Only when all is known that happened until then:
   * who was thrown out a moment before a flush must not come back by it.
   */
  async #restore(
    services: ReadonlyMap<string, ServiceSpec>,
    before: Listing,
    seen: () => Promise<boolean>,
  ): Promise<number> {
    const missing = () => this.book.running(services.values()).filter(({ set }) => !before.sets.has(set))
    if (!(await seen())) return 0
    const wanted = new Set(missing().map(nameOf))
    for (let restored = 0; ;) {
      // Asked for again each time: what is left of them gets less meanwhile, and some have ended or were taken away.
      const grants = missing()
        .filter(grant => wanted.has(nameOf(grant)))
        .slice(0, grantsAtOnce)
      if (grants.length === 0) return restored
      try {
        await this.firewall.nft.apply(restoring(grants))
      } catch {
        // Flushed once more in between, most likely; then all begins anew.
        return restored
      }
      restored += grants.length
      for (const grant of grants) wanted.delete(nameOf(grant))
    }
  }

  async #after(commands: readonly Command[], services: ReadonlyMap<string, ServiceSpec>, packetPath: PacketPathSpec) {
    this.#packetPath = packetPath
    await this.#putQueueRule()
    await this.#adopt(commands, services, packetPath)
  }

  async #adopt(commands: readonly Command[], services: ReadonlyMap<string, ServiceSpec>, packetPath: PacketPathSpec) {
    this.#packetPath = packetPath
    const listing = await this.#filled(await this.firewall.nft.list({ elements: false }))
    this.#snapshot = takeSnapshot(listing, commands, services)
  }

  /** True when it was not as it should be. */
  async #putQueueRule(): Promise<boolean> {
    const packetPath = this.#packetPath
    if (!packetPath || packetPath.native) return false
    return this.firewall.xtQueue.install(packetPath.hook, packetPath.marks.queued, packetPath.queue)
  }

  async #filled(terse: Listing): Promise<Listing> {
    const names = { map: comparedMaps(terse), set: comparedSets(terse) }
    const { nft } = this.firewall
    if (names.map.length + names.set.length > maxSingleListings) return nft.list()
    const parts = await Promise.all([
      ...names.map.map(name => nft.listSet('map', name)),
      ...names.set.map(name => nft.listSet('set', name)),
    ])
    const filled = { ...terse, maps: new Map(terse.maps), sets: new Map(terse.sets) }
    for (const { maps, sets } of parts) {
      for (const [name, map] of maps) filled.maps.set(name, map)
      for (const [name, set] of sets) filled.sets.set(name, set)
    }
    return filled
  }
}

const signPrefix = 'sign-'
/** What the reconciler does for the watch alone. */
const isSign = ({ family, table, kind, name }: RulesetEvent): boolean =>
  family === ownFamily && table === ownTable && kind === 'chain' && name.startsWith(signPrefix)

const nameOf = ({ set, source }: RunningGrant): string => `${set} ${source}`

function restoring(grants: readonly RunningGrant[]): Command[] {
  const bySet = new Map<string, Json[]>()
  for (const { set, source, life } of grants) {
    const elements = bySet.get(set) ?? []
    elements.push(life ? { elem: { val: source, timeout: life.timeout, expires: life.left } } : source)
    bySet.set(set, elements)
  }
  return [...bySet].map(([set, elements]) => addElements(set, elements))
}
