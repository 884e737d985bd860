/**
 * Knows how pkctl's table should be, and makes it so again: in place where parts of it were changed, so that sets keep what
 * they contain, and else as a whole.
 */
import type { Listing } from '../listing.js'
import { emptyListing } from '../listing.js'
import type { Command } from '../nft-json.js'
import { addTable } from '../nft-json.js'
import type { RulesetAccess } from '../ruleset-access.js'
import type { PacketPathFor, PacketPathSpec } from '../table/packet-path-spec.js'
import { buildPacketPath } from '../table/install-packet-path.js'
import { buildTable } from '../table/rebuild.js'
import { buildServices } from '../table/service-changes.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { hooksOf } from '../table/service-spec.js'
import type { Barriers } from './barrier.js'
import type { Drift } from './compare-snapshot.js'
import type { Owed } from './owed-grants.js'
import { monitorMilliseconds } from './owed-grants.js'
import { collide } from './port-conflicts.js'
import { withElements } from './read-table.js'
import { readServices } from './service-state.js'
import type { Snapshot } from './snapshot.js'
import { comparedMaps, comparedSets, takeSnapshot } from './snapshot.js'

/** The rules are in place again; `finish` has to follow. */
export interface Restoration {
  readonly drift: readonly string[]
  readonly commands: readonly Command[]
  readonly packetPath: PacketPathSpec
  /** The grants that are to be restored. */
  readonly owed: Omit<Owed, 'at'>
}

export class TableRestorer {
  /** What the table was like when it was last as it should be. */
  snapshot: Snapshot | undefined
  #packetPath: PacketPathSpec | undefined

  constructor(
    readonly access: RulesetAccess,
    readonly barriers: Barriers,
  ) {}

  /** What these commands have made is what should be there from now on. */
  async adopt(
    commands: readonly Command[],
    services: ReadonlyMap<string, ServiceSpec>,
    packetPath: PacketPathSpec,
  ): Promise<void> {
    this.#packetPath = packetPath
    const listing = await this.withComparedElements(await this.access.nft.list({ elements: false }))
    this.snapshot = takeSnapshot(listing, commands, services)
    this.access.tableNote.keep(listing.handle)
  }

  /** Restores in place what is different: sets that are there keep what they contain. */
  async repair(
    { drift, changed, services }: Drift,
    snapshot: Snapshot,
    listing: Listing,
    packetPathFor: PacketPathFor,
  ): Promise<Restoration> {
    const packetPath = packetPathFor(services)
    const barrier = this.barriers.next()
    const commands = [
      addTable(),
      ...buildServices(changed, listing),
      ...buildPacketPath(packetPath, listing, hooksOf(services)),
    ]
    try {
      await this.access.nft.apply([...commands, ...barrier.commands])
    } catch {
      // Something is in the way, such as a chain of another program that leads into ours.
      return this.rebuild(snapshot, listing, packetPathFor, drift.join(', '))
    }
    const owed = { services, before: listing, seen: barrier.seen(monitorMilliseconds) }
    return { drift, commands, packetPath, owed }
  }

  /** Makes the whole table from the snapshot, in one transaction; anything else in the table is deleted. */
  async rebuild(
    snapshot: Snapshot,
    listing: Listing,
    packetPathFor: PacketPathFor,
    reason: string,
  ): Promise<Restoration> {
    const services = new Map([...snapshot.services].map(([name, { spec }]) => [name, spec]))
    // A service may have been made by command in the meantime.
    for (const { spec, sound } of readServices(listing).values()) {
      if (sound && !services.has(spec.name) && [...services.values()].every(other => !collide(spec, other)))
        services.set(spec.name, spec)
    }
    const packetPath = packetPathFor(services)
    const barrier = this.barriers.next()
    const commands = buildTable(services, packetPath)
    await this.access.nft.apply([...commands, ...barrier.commands])
    const owed = { services, before: emptyListing(), seen: barrier.seen(monitorMilliseconds) }
    return { drift: [reason], commands, packetPath, owed }
  }

  /** The rule in iptables' mangle table, and the snapshot of what is there now. */
  async finish({ commands, packetPath, owed: { services } }: Restoration): Promise<void> {
    this.#packetPath = packetPath
    await this.installQueueRule()
    await this.adopt(commands, services, packetPath)
  }

  /** True when it was not as it should be. */
  async installQueueRule(): Promise<boolean> {
    const packetPath = this.#packetPath
    if (!packetPath || packetPath.native) return false
    return this.access.iptablesQueue.install(packetPath.hook, packetPath.marks.queued, packetPath.queue)
  }

  /** The listing, with the elements that only commands of pkctl change. */
  withComparedElements(terse: Listing): Promise<Listing> {
    return withElements(this.access.nft, terse, { maps: comparedMaps(terse), sets: comparedSets(terse) })
  }
}
