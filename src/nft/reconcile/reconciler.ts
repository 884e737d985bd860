/**
 * Keeps a snapshot of pkctl's table, services made by command included, and restores the table when another program
 * deleted or changed it, with the grants that run. Commands of pkctl are no drift: what they leave is kept.
 */
import type { Command, Json } from '../nft-json.js'
import { addElements, addTable } from '../nft-json.js'
import type { Listing } from '../listing.js'
import { emptyListing } from '../listing.js'
import { LockError } from '../lock.js'
import type { RulesetAccess } from '../ruleset-access.js'
import type { PacketPathFor, PacketPathSpec } from '../table/packet-path-spec.js'
import { buildPacketPath } from '../table/packet-path.js'
import { buildTable } from '../table/rebuild.js'
import { buildServices } from '../table/service-changes.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { hooksOf } from '../table/service-spec.js'
import { Barriers } from './barrier.js'
import type { Drift } from './compare-snapshot.js'
import { compareSnapshot } from './compare-snapshot.js'
import type { GrantTracker, RunningGrant } from './grant-tracker.js'
import type { RulesetTransaction } from './monitor.js'
import { collide } from './port-conflicts.js'
import { withElements } from './read-table.js'
import { readServices } from './service-state.js'
import type { Snapshot } from './snapshot.js'
import { comparedMaps, comparedSets, takeSnapshot } from './snapshot.js'
import type { Standby } from './standby.js'

/** What was different, and how many grants were restored; nothing was when `drift` is empty. */
export interface Reconciliation {
  readonly drift: readonly string[]
  readonly restored: number
  /** When the rules were in place, by performance.now(); grants may have followed later. */
  readonly at?: number
  /** Grants that were given up: the monitor is so late that they may have been revoked, or nft refused them. */
  readonly givenUp?: number
}

/** Grants that are to be restored, once the monitor has reported all that was before. */
interface OwedGrants {
  readonly services: ReadonlyMap<string, ServiceSpec>
  /** What sets there were: what those contained is there. */
  readonly before: Listing
  /** When it was restored, by performance.now(). */
  readonly at: number
  /** Another program keeps the lock. */
  readonly withoutLock?: boolean
  /** Whether the monitor has come to what restored it: false when not in time. */
  readonly seen: Promise<boolean>
}

const nothing: Reconciliation = { drift: [], restored: 0 }

const deleted = 'the table inet pkctl was deleted'
const notPersistent = 'the table inet pkctl was made without the flag persist'

/** How long to wait for the lock while ports may be open. Other programs need some milliseconds. */
const reconcileSeconds = 10

/** How late the monitor may be: it reads the big lists that other programs load, too. */
const monitorMilliseconds = 10_000
/** Before this, what the monitor reports is up to date. */
const lateMilliseconds = 500

/** So many grants are restored in one transaction. */
const grantsAtOnce = 5000

export class Reconciler {
  #snapshot: Snapshot | undefined
  #packetPath: PacketPathSpec | undefined
  readonly #barriers = new Barriers()
  #owed: OwedGrants | undefined
  #interrupt: () => void = () => undefined
  #requiresPersist = false
  /** When ports were closed in place of a table that was deleted, by performance.now(), until the rest follows. */
  #closedAt: number | undefined

  constructor(
    readonly access: RulesetAccess,
    readonly tracker: GrantTracker,
    readonly standby: Pick<Standby, 'keep' | 'closePorts' | 'stop'>,
  ) {}

  /** The number of the table that is as it should be. */
  get table(): number | undefined {
    return this.#snapshot?.table
  }

  /** Whether a table without `persist` counts as drift, because it is to be owned. True when that is new. */
  requirePersist(required: boolean): boolean {
    const isNew = required && !this.#requiresPersist
    this.#requiresPersist = required
    this.#keepReady()
    return isNew
  }

  /** What was installed is what should be there from now on. */
  adopt(
    commands: readonly Command[],
    services: ReadonlyMap<string, ServiceSpec>,
    packetPath: PacketPathSpec,
  ): Promise<void> {
    return this.access.exclusive(() => this.#adopt(commands, services, packetPath))
  }

  /**
   * Compares, and restores what another program changed. `queueRule` says that the rule in the mangle table may be gone.
   * Rejects with an NftError, and with a LockError when another program keeps the lock; then nothing has changed. But where
   * the table is gone, ports are open, and it is made again without the lock.
   */
  async reconcile(packetPathFor: PacketPathFor, queueRule: boolean): Promise<Reconciliation> {
    const reconciliation = await this.#reconcileRules(packetPathFor, queueRule)
    return { ...reconciliation, ...(await this.#restoreOwed()) }
  }

  /** Closes ports at once where the table is gone, without the lock and before a comparison, which has to follow. */
  async closePorts(): Promise<void> {
    if (await this.standby.closePorts()) this.#closedAt = performance.now()
  }

  /** Ends what waits to be used. Nothing is restored any more. */
  end(): void {
    this.interrupt()
    this.standby.stop()
  }

  /** Lets a `reconcile` that waits for the monitor resolve at once; the grants are left to the next one. */
  interrupt(): void {
    this.#interrupt()
  }

  async #reconcileRules(packetPathFor: PacketPathFor, queueRule: boolean): Promise<Reconciliation> {
    try {
      return await this.#reconcileLocked(packetPathFor, queueRule)
    } catch (error) {
      if (!(error instanceof LockError) || !this.#snapshot) throw error
      const terse = await this.access.nft.list({ elements: false })
      if (terse.present && !this.#isClosedOnly(terse)) throw error
      const rebuilt = await this.#rebuild(this.#snapshot, terse, packetPathFor, deleted)
      if (this.#owed) this.#owed = { ...this.#owed, withoutLock: true }
      return rebuilt
    }
  }

  #reconcileLocked(packetPathFor: PacketPathFor, queueRule: boolean): Promise<Reconciliation> {
    const work = async () => {
      const first = await this.#reconcileTable(packetPathFor)
      if (first.drift.length > 0 || !queueRule || !(await this.#installQueueRule())) return first
      // The table may have gone in the same flush as the rule, just after the table was compared.
      const { drift } = await this.#reconcileTable(packetPathFor)
      return { ...nothing, drift: [...drift, 'the rule that queues knocks was deleted'], at: performance.now() }
    }
    return this.access.exclusive(work, reconcileSeconds)
  }

  /** Wakes a table that cannot be listed: nft 1.0.6 may end in the middle of one that sleeps. */
  async #reconcileTable(packetPathFor: PacketPathFor): Promise<Reconciliation> {
    try {
      return await this.#reconcileListed(packetPathFor)
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      await this.access.nft.apply([addTable()])
      const { drift } = await this.#reconcileListed(packetPathFor)
      return { ...nothing, drift: ['the table sleeps', ...drift], at: performance.now() }
    }
  }

  async #reconcileListed(packetPathFor: PacketPathFor): Promise<Reconciliation> {
    const snapshot = this.#snapshot
    if (!snapshot) return nothing
    const terse = await this.access.nft.list({ elements: false })
    if (!terse.present || this.#isClosedOnly(terse)) return this.#rebuild(snapshot, terse, packetPathFor, deleted)
    this.#closedAt = undefined
    if (this.#requiresPersist && !terse.persist) return this.#rebuild(snapshot, terse, packetPathFor, notPersistent)
    const listing = await this.#withComparedElements(terse)
    if (listing.handle !== snapshot.table) {
      return this.#rebuild(snapshot, listing, packetPathFor, 'the table inet pkctl was replaced')
    }
    const comparison = compareSnapshot(snapshot, listing)
    if (comparison.kind === 'drifted') return this.#repair(comparison, snapshot, listing, packetPathFor)
    this.#snapshot = comparison.snapshot
    this.#keepReady()
    return nothing
  }

  /** Whether this is the table that only closes the ports. */
  #isClosedOnly({ handle }: Listing): boolean {
    return this.#closedAt !== undefined && handle !== this.#snapshot?.table
  }

  /** No other program can delete a table that has an owner. */
  #keepReady(): void {
    if (this.#requiresPersist) return this.standby.stop()
    const services = [...(this.#snapshot?.services ?? [])]
    this.standby.keep(new Map(services.map(([name, { spec }]) => [name, spec])))
  }

  /** Takes over what the monitor reports. */
  follow(transaction: RulesetTransaction): void {
    this.tracker.follow(transaction)
    this.#barriers.follow(transaction.events)
  }

  /** Whether the monitor reports what is done to the table, within so many milliseconds. Rejects with an NftError, also when the table is not there. */
  async monitorReports(milliseconds?: number): Promise<boolean> {
    const barrier = this.#barriers.next()
    await this.access.nft.apply(barrier.commands)
    return barrier.seen(milliseconds)
  }

  /**
   * Reads from the kernel which grants run: at the start, and when something may have happened that was not reported.
   * False when the monitor does not see yet, or `isCurrent` no longer holds, so that they have to be read again.
   */
  async readGrants(isCurrent: () => boolean): Promise<boolean> {
    if (!this.#snapshot) return false
    if (!(await this.monitorReports())) return false
    const startedAt = this.tracker.now()
    const listing = await this.access.nft.list()
    if (!isCurrent() || !listing.present || listing.handle !== this.#snapshot.table) return false
    this.tracker.takeOver(listing, startedAt)
    return true
  }

  /** Restores in place: sets that are there keep what they contain. */
  async #repair(
    { drift, changed, services }: Drift,
    snapshot: Snapshot,
    listing: Listing,
    packetPathFor: PacketPathFor,
  ): Promise<Reconciliation> {
    const packetPath = packetPathFor(services)
    const barrier = this.#barriers.next()
    const commands = [
      addTable(),
      ...buildServices(changed, listing),
      ...buildPacketPath(packetPath, listing, hooksOf(services)),
    ]
    try {
      await this.access.nft.apply([...commands, ...barrier.commands])
    } catch {
      // Something is in the way, such as a chain of another program that leads into ours.
      return this.#rebuild(snapshot, listing, packetPathFor, drift.join(', '))
    }
    return this.#restored(
      drift,
      commands,
      { services, before: listing, seen: barrier.seen(monitorMilliseconds) },
      packetPath,
    )
  }

  /** Makes the whole table from the snapshot, in one transaction; anything else in the table is deleted. */
  async #rebuild(
    snapshot: Snapshot,
    listing: Listing,
    packetPathFor: PacketPathFor,
    reason: string,
  ): Promise<Reconciliation> {
    const services = new Map([...snapshot.services].map(([name, { spec }]) => [name, spec]))
    // A service may have been made by command in the meantime.
    for (const { spec, sound } of readServices(listing).values()) {
      if (sound && !services.has(spec.name) && [...services.values()].every(other => !collide(spec, other)))
        services.set(spec.name, spec)
    }
    const packetPath = packetPathFor(services)
    const barrier = this.#barriers.next()
    const commands = buildTable(services, packetPath)
    await this.access.nft.apply([...commands, ...barrier.commands])
    const owed = { services, before: emptyListing(), seen: barrier.seen(monitorMilliseconds) }
    return this.#restored([reason], commands, owed, packetPath)
  }

  /** The rules are in place again. Grants of services that were owed before are owed still. */
  async #restored(
    drift: readonly string[],
    commands: readonly Command[],
    owed: Omit<OwedGrants, 'at'>,
    packetPath: PacketPathSpec,
  ): Promise<Reconciliation> {
    const now = performance.now()
    const at = this.#closedAt ?? now
    this.#closedAt = undefined
    this.#owed = { ...owed, at: now, before: this.#owed?.before ?? owed.before }
    await this.#finish(commands, owed.services, packetPath)
    this.#keepReady()
    return { ...nothing, drift, at }
  }

  /**
   * Restores what is owed when the monitor has come to `seen`, for which no other change of the ruleset waits: beside big
   * lists of others it takes a second and more.
   */
  async #restoreOwed(): Promise<Pick<Reconciliation, 'restored' | 'givenUp'>> {
    const owed = this.#owed
    if (!owed) return { restored: 0 }
    const interrupted = new Promise<undefined>(resolve => {
      this.#interrupt = () => {
        // What was seen before counts.
        setImmediate(resolve, undefined)
      }
    })
    let seen = await Promise.race([owed.seen, interrupted])
    // Commands may have revoked some of them meanwhile.
    if (seen === true && performance.now() - owed.at > lateMilliseconds)
      seen = await Promise.race([this.monitorReports(monitorMilliseconds), interrupted])
    if (seen === undefined) return { restored: 0 }
    this.#owed = undefined
    if (!seen) return { restored: 0, givenUp: this.#missingGrants(owed).length }
    const restore = () => this.#restoreGrants(owed)
    return owed.withoutLock ? restore() : this.access.exclusive(restore, reconcileSeconds)
  }

  /** Grants that ran, of the sets that there were none of. */
  readonly #missingGrants = ({ services, before }: OwedGrants): RunningGrant[] =>
    this.tracker.running(services.values()).filter(({ set }) => !before.sets.has(set))

  /**
   * Restores the grants of the sets that `before` did not have. Only when all is known that happened until then: a
   * grant that was revoked a moment before a flush must not come back by it.
   */
  async #restoreGrants(owed: OwedGrants): Promise<Pick<Reconciliation, 'restored' | 'givenUp'>> {
    const missing = () => this.#missingGrants(owed)
    const wanted = new Set(missing().map(keyOf))
    for (let restored = 0; ;) {
      // Computed for each transaction: what is left of them gets less meanwhile, and some have ended or were revoked.
      const grants = missing()
        .filter(grant => wanted.has(keyOf(grant)))
        .slice(0, grantsAtOnce)
      if (grants.length === 0) return { restored }
      try {
        await this.access.nft.apply(addGrants(grants))
      } catch {
        // Flushed once more in between, most likely; that is drift again, and they come back by that.
        const { present } = await this.access.nft.list({ elements: false }).catch(() => ({ present: true }))
        return present ? { restored, givenUp: wanted.size } : { restored }
      }
      restored += grants.length
      for (const grant of grants) wanted.delete(keyOf(grant))
    }
  }

  async #finish(commands: readonly Command[], services: ReadonlyMap<string, ServiceSpec>, packetPath: PacketPathSpec) {
    this.#packetPath = packetPath
    await this.#installQueueRule()
    await this.#adopt(commands, services, packetPath)
  }

  async #adopt(commands: readonly Command[], services: ReadonlyMap<string, ServiceSpec>, packetPath: PacketPathSpec) {
    this.#packetPath = packetPath
    const listing = await this.#withComparedElements(await this.access.nft.list({ elements: false }))
    this.#snapshot = takeSnapshot(listing, commands, services)
  }

  /** True when it was not as it should be. */
  async #installQueueRule(): Promise<boolean> {
    const packetPath = this.#packetPath
    if (!packetPath || packetPath.native) return false
    return this.access.iptablesQueue.install(packetPath.hook, packetPath.marks.queued, packetPath.queue)
  }

  #withComparedElements(terse: Listing): Promise<Listing> {
    return withElements(this.access.nft, terse, { maps: comparedMaps(terse), sets: comparedSets(terse) })
  }
}

const keyOf = ({ set, source }: RunningGrant): string => `${set} ${source}`

function addGrants(grants: readonly RunningGrant[]): Command[] {
  const bySet = new Map<string, Json[]>()
  for (const { set, source, life } of grants) {
    const elements = bySet.get(set) ?? []
    elements.push(life ? { elem: { val: source, timeout: life.timeout, expires: life.left } } : source)
    bySet.set(set, elements)
  }
  return [...bySet].map(([set, elements]) => addElements(set, elements))
}
