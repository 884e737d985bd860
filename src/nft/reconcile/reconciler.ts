/**
 * Keeps a snapshot of pkctl's table, services made by command included, and restores the table when another program
 * deleted or changed it, with the grants that run. Commands of pkctl are no drift: what they leave is kept.
 */
import type { Listing } from '../listing.js'
import { LockError } from '../lock.js'
import type { Command } from '../nft-json.js'
import { addTable } from '../nft-json.js'
import type { RulesetAccess } from '../ruleset-access.js'
import type { UnqueuedPackets } from '../table/knock-chain.js'
import { unqueuedPackets } from '../table/knock-chain.js'
import type { PacketPathFor, PacketPathSpec } from '../table/packet-path-spec.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { Barriers } from './barrier.js'
import { compareSnapshot } from './compare-snapshot.js'
import { GrantComparer } from './grant-comparer.js'
import type { GrantTracker } from './grant-tracker.js'
import type { RulesetTransaction } from './nft-monitor.js'
import { monitorMilliseconds, OwedGrants } from './owed-grants.js'
import type { Standby } from './standby.js'
import type { Restoration } from './table-restorer.js'
import { TableRestorer } from './table-restorer.js'

/** What was different, and how many grants were restored; nothing was when `drift` is empty. */
export interface Reconciliation {
  readonly drift: readonly string[]
  readonly restored: number
  /** When the rules were in place, by performance.now(); grants may have followed later. */
  readonly at?: number
  /** Grants that were given up: the monitor is so late that they may have been revoked, or nft refused them. */
  readonly givenUp?: number
  /** Where nothing had to be restored: what the rules have counted that was not queued. */
  readonly unqueued?: readonly UnqueuedPackets[]
}

const nothing: Reconciliation = { drift: [], restored: 0 }

const deleted = 'the table inet pkctl was deleted'
const notPersistent = 'the table inet pkctl was made without the flag persist'

/** How long to wait for the lock while ports may be open. Other programs need some milliseconds. */
const reconcileSeconds = 10

export class Reconciler {
  readonly #barriers = new Barriers()
  readonly #restorer: TableRestorer
  readonly #owed: OwedGrants
  readonly grants: GrantComparer
  #requiresPersist = false
  /** When ports were closed in place of a table that was deleted, by performance.now(), until the rest follows. */
  #closedAt: number | undefined

  constructor(
    readonly access: RulesetAccess,
    readonly tracker: GrantTracker,
    readonly standby: Pick<Standby, 'keep' | 'closePorts' | 'stop'>,
  ) {
    this.#restorer = new TableRestorer(access, this.#barriers)
    const monitorReports = () => this.monitorReports(monitorMilliseconds)
    this.#owed = new OwedGrants(access, tracker, monitorReports)
    this.grants = new GrantComparer({
      ...{ access, tracker, monitorReports },
      snapshot: () => this.#restorer.snapshot,
      isOwing: () => this.#owed.isOwing,
    })
  }

  /** The number of the table that is as it should be. */
  get table(): number | undefined {
    return this.#restorer.snapshot?.table
  }

  /** Whether a table without `persist` counts as drift, because it is to be owned. True when that is new. */
  requirePersist(required: boolean): boolean {
    const isNew = required && !this.#requiresPersist
    this.#requiresPersist = required
    return isNew
  }

  /** What was installed is what should be there from now on. */
  adopt(
    commands: readonly Command[],
    services: ReadonlyMap<string, ServiceSpec>,
    packetPath: PacketPathSpec,
  ): Promise<void> {
    return this.access.exclusive(() => this.#restorer.adopt(commands, services, packetPath))
  }

  /**
   * Compares, and restores what another program changed. `queueRule` says that the rule in the mangle table may be gone.
   * Rejects with an NftError, and with a LockError when another program keeps the lock; then nothing has changed. But where
   * the table is gone, ports are open, and it is made again without the lock.
   */
  async reconcile(packetPathFor: PacketPathFor, queueRule: boolean): Promise<Reconciliation> {
    const reconciliation = await this.#reconcileRules(packetPathFor, queueRule)
    return { ...reconciliation, ...(await this.#owed.restore()) }
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
    this.#owed.interrupt()
  }

  async #reconcileRules(packetPathFor: PacketPathFor, queueRule: boolean): Promise<Reconciliation> {
    try {
      return await this.#reconcileLocked(packetPathFor, queueRule)
    } catch (error) {
      const { snapshot } = this.#restorer
      if (!(error instanceof LockError) || !snapshot) throw error
      const terse = await this.access.nft.list({ elements: false })
      if (terse.present && !this.#isClosedOnly(terse)) throw error
      const rebuilt = await this.#rebuild(snapshot, terse, packetPathFor, deleted)
      this.#owed.restoreWithoutLock()
      return rebuilt
    }
  }

  #reconcileLocked(packetPathFor: PacketPathFor, queueRule: boolean): Promise<Reconciliation> {
    const work = async () => {
      const first = await this.#reconcileTable(packetPathFor)
      if (first.drift.length > 0 || !queueRule || !(await this.#restorer.installQueueRule())) return first
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
      return { ...nothing, drift: ['the table is dormant', ...drift], at: performance.now() }
    }
  }

  async #reconcileListed(packetPathFor: PacketPathFor): Promise<Reconciliation> {
    const { snapshot } = this.#restorer
    if (!snapshot) return nothing
    const terse = await this.access.nft.list({ elements: false })
    if (!terse.present || this.#isClosedOnly(terse)) return this.#rebuild(snapshot, terse, packetPathFor, deleted)
    this.#closedAt = undefined
    if (this.#requiresPersist && !terse.persist) return this.#rebuild(snapshot, terse, packetPathFor, notPersistent)
    const listing = await this.#restorer.withComparedElements(terse)
    if (listing.handle !== snapshot.table) {
      return this.#rebuild(snapshot, listing, packetPathFor, 'the table inet pkctl was replaced')
    }
    const comparison = compareSnapshot(snapshot, listing)
    if (comparison.kind === 'drifted')
      return this.#restored(await this.#restorer.repair(comparison, snapshot, listing, packetPathFor))
    this.#restorer.snapshot = comparison.snapshot
    this.#keepReady()
    return { ...nothing, unqueued: unqueuedPackets(listing) }
  }

  async #rebuild(...how: Parameters<TableRestorer['rebuild']>): Promise<Reconciliation> {
    return this.#restored(await this.#restorer.rebuild(...how))
  }

  /** Whether this is the table that only closes the ports. */
  #isClosedOnly({ handle }: Listing): boolean {
    return this.#closedAt !== undefined && handle !== this.#restorer.snapshot?.table
  }

  /** Also where the table is owned, which no other program can delete: a session may end, and the table has no owner then. */
  #keepReady(): void {
    const services = [...(this.#restorer.snapshot?.services ?? [])]
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
    if (!this.#restorer.snapshot) return false
    if (!(await this.monitorReports())) return false
    const startedAt = this.tracker.now()
    const listing = await this.access.nft.list()
    if (!isCurrent() || !listing.present || listing.handle !== this.#restorer.snapshot.table) return false
    this.tracker.takeOver(listing, startedAt)
    return true
  }

  /** The rules are in place again. */
  async #restored(restoration: Restoration): Promise<Reconciliation> {
    const now = performance.now()
    const at = this.#closedAt ?? now
    this.#closedAt = undefined
    this.#owed.owe({ ...restoration.owed, at: now })
    await this.#restorer.finish(restoration)
    this.#keepReady()
    return { ...nothing, drift: restoration.drift, at }
  }
}
