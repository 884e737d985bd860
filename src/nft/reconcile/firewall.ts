/**
 * What pkctl can do to the kernel's ruleset, in its own terms: each method is one transaction at most, leaves things as
 * they are when they are right already, and says what it changed.
 */
import type { IpFamily } from '../../net/index.js'
import { maskAddress } from '../../net/index.js'
import { FirewallError, NftError } from '../nft-errors.js'
import type { Command, Hook } from '../nft-json.js'
import { deleteTable } from '../nft-json.js'
import type { Listing } from '../listing.js'
import type { RulesetAccess } from '../ruleset-access.js'
import { refreshAlive } from '../table/daemon-alive.js'
import { unansweredPackets } from '../table/grant-chain.js'
import type { UnqueuedPackets } from '../table/knock-chain.js'
import { unqueuedPackets } from '../table/knock-chain.js'
import type { GrantSpec, ServiceGrant } from '../table/grant-elements.js'
import { replaceGrant, withdrawGrant } from '../table/grant-elements.js'
import type { PacketPathFor, PacketPathSpec } from '../table/packet-path-spec.js'
import {
  hasOnlyPacketPath,
  queuedPackets,
  queueInUse,
  removePacketPath,
  stopQueue,
} from '../table/install-packet-path.js'
import { setOf } from '../table/service-sets.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { grantPrefix } from '../table/service-spec.js'
import { signed } from './barrier.js'
import type { FirewallChange } from './firewall-change.js'
import { planServices } from './firewall-change.js'
import { foreignGrants, noForeignGrants } from './foreign-grants.js'
import type { ClosedBesides, EarlierGrants } from './grant-changes.js'
import {
  grantsReplacedBy,
  maskedGrants,
  planAddedGrant,
  planClosedGrant,
  planDeletedGrant,
  secondsGranted,
} from './grant-changes.js'
import { hasQueueStatement, withPacketPath } from './packet-path-changes.js'
import { hasElement } from './read-element.js'
import { readStructure } from './read-table.js'
import type { SharedChange } from './shared-grants-plan.js'
import { planSharedGrants } from './shared-grants-plan.js'
import type { ServicePlan } from './service-plan.js'
import type { ServiceState } from './service-state.js'
import { readServices } from './service-state.js'
import type { PeriodWords } from '../table/periods.js'
import { renewPeriods } from '../table/periods.js'

/** The result of a change. `commands` is the transaction, empty when there was nothing to do. */
export interface FirewallResult {
  readonly changed: boolean
  /** What is different now, in a few words each, such as `reject: drop -> reset`. */
  readonly details: readonly string[]
  readonly commands: readonly Command[]
}

export interface ChangeResult extends FirewallResult {
  readonly plan: ServicePlan
  /** How many grants of a table that another program has made were deleted: see `foreignGrantsWarning`. */
  readonly removed: number
}

/** What one listing of the table shows. */
export interface Overview {
  readonly services: ReadonlyMap<string, ServiceState>
  /** Packets with the shape of a knock that the rules sent to the queue, since the packet path was last installed. */
  readonly queued: number
  /** Knocks that got no answer. */
  readonly unanswered: number
  /** Packets with the size of a knock, but of another minute. */
  readonly ofOtherMinutes: number
  /** Packets with the size of a knock with a tag, but with the tag, port or interface of no credential. */
  readonly ofNoCredential: number
  /** Of nft, such as `1.0.6`. */
  readonly release: string
}

/** A grant, as an element of a set. */
interface GrantElement {
  readonly set: string
  readonly source: string
}

/** How long a daemon that stops waits for the lock, twice. */
const stopSeconds = 4

/** What a transaction is made of, before it is applied. */
type Transaction = Pick<FirewallResult, 'details' | 'commands'>

export class Firewall {
  constructor(
    readonly access: RulesetAccess,
    /** Only say what would be done. */
    readonly dryRun = false,
  ) {}

  /** Rejects when `signal` is aborted: who asked has left. */
  async services(signal?: AbortSignal): Promise<Map<string, ServiceState>> {
    return readServices(await this.access.nft.list(signal && { signal }))
  }

  async overview(signal?: AbortSignal): Promise<Overview> {
    const listing = await this.access.nft.list(signal && { signal })
    const unqueued = unqueuedPackets(listing)
    const countOf = (wanted: UnqueuedPackets['kind']) =>
      unqueued.reduce((sum, { kind, packets }) => (kind === wanted ? sum + packets : sum), 0)
    return {
      services: readServices(listing),
      queued: queuedPackets(listing),
      unanswered: unansweredPackets(listing),
      ofOtherMinutes: countOf('other-minute'),
      ofNoCredential: countOf('no-credential'),
      release: listing.release,
    }
  }

  /** Changes services, grants and the packet path in one transaction. Grants that run go on. */
  apply(change: FirewallChange): Promise<ChangeResult> {
    return this.access.exclusive(async () => {
      const { nft } = this.access
      const listing = await readStructure(nft)
      if (change.table !== undefined && !(listing.present && listing.handle === change.table)) {
        throw new FirewallError('replaced', 'another program removed the table inet pkctl at this moment; try again')
      }
      const foreign = change.takeOver ? await foreignGrants(this.access, listing) : noForeignGrants
      const listAll = async () => foreign.listing ?? (await nft.list())
      const { plan, commands: forServices, details } = await planServices(change, listing, listAll)
      const commands = [...foreign.commands, ...forServices]
      const more = (await change.prepare?.(plan)) ?? []
      const grants = [
        ...maskedGrants(change.revoke ?? [], plan.after).flatMap(withdrawGrant),
        ...maskedGrants([...(change.grants ?? []), ...more], plan.after).flatMap(replaceGrant),
      ]
      const texts = [...details, ...more.map(({ source }) => `${source} granted`)]
      const { removed } = foreign
      const packetPath = change.packetPathFor?.(plan.after)
      if (!packetPath) {
        const result = await this.#run({ commands: [...commands, ...grants], details: texts })
        await this.#keepNote(change, listing)
        return { ...result, plan, removed }
      }
      const parts = { services: commands, grants, details: texts }
      const transaction = await withPacketPath(nft, packetPath, plan.after, listing, parts)
      const result = await this.#runWithPacketPath(packetPath, listing, transaction)
      await this.#keepNote(change, listing)
      return { ...result, plan, removed }
    })
  }

  /** Makes services what their specs say. With `replace`, a service of another name gives way as `FirewallChange` says. */
  ensureServices(specs: readonly ServiceSpec[], replace = false, takeOver = false): Promise<ChangeResult> {
    return this.apply({ specs, replace, takeOver })
  }

  removeService(name: string): Promise<FirewallResult & { readonly plan: ServicePlan }> {
    return this.apply({ specs: [], remove: [name] })
  }

  /** Services and packet path together. Without `table`, what is there is taken over. */
  install(specs: readonly ServiceSpec[], packetPathFor: PacketPathFor, table?: number): Promise<ChangeResult> {
    const how = table === undefined ? { takeOver: true } : { table }
    return this.apply({ specs, replace: true, packetPathFor, ...how })
  }

  /**
   * Where the grant is that the packet path has given the address: `used`, when a connection has just used it up, and undefined
   * when there is none.
   */
  async grantByKnock(
    spec: ServiceSpec,
    version: IpFamily,
    address: string,
  ): Promise<GrantElement | 'used' | undefined> {
    const source = maskAddress(address, grantPrefix(spec, version))
    const set = setOf(spec.name, 'knock', version)
    if (await hasElement(this.access.nft, set, source)) return { set, source }
    if (!spec.singleUse) return undefined
    const isUsed = await hasElement(this.access.nft, setOf(spec.name, 'knock-taken', version), source)
    return isUsed ? 'used' : undefined
  }

  /** How long a grant for the address will run once the service is as `spec` says; `now` is the service as it is. */
  secondsGranted(spec: GrantSpec, version: IpFamily, address: string, now: GrantSpec = spec): Promise<number> {
    return secondsGranted(this.access.nft, spec, version, address, now)
  }

  /** The grants by hand in whose place these would come. */
  replacedBy(
    grants: readonly ServiceGrant[],
    services: ReadonlyMap<string, ServiceState>,
  ): Promise<readonly ServiceGrant[]> {
    return grantsReplacedBy(this.access.nft, grants, services)
  }

  /** As `planAddedGrant` says; `address` can be a prefix as long as the service grants them. */
  addGrant(
    service: string,
    version: IpFamily,
    address: string,
    seconds: number | null,
    keepLonger = false,
    comment?: string,
  ): Promise<FirewallResult & EarlierGrants> {
    const { nft, exclusive } = this.access
    return exclusive(async () => {
      const { commands, details, ...earlier } = await planAddedGrant(nft, {
        ...{ service, version, address, seconds, keepLonger, comment },
      })
      return { ...(await this.#run({ commands, details })), ...earlier }
    })
  }

  deleteGrant(service: string, version: IpFamily, address: string): Promise<FirewallResult> {
    const { nft, exclusive } = this.access
    return exclusive(async () => this.#run(await planDeletedGrant(nft, service, version, address)))
  }

  /** Makes what other servers of a fleet have granted and revoked, in one transaction. */
  changeShared(changes: readonly SharedChange[]): Promise<FirewallResult> {
    const { nft, exclusive } = this.access
    return exclusive(async () => this.#run({ commands: await planSharedGrants(nft, changes), details: [] }))
  }

  /** Revokes what knocks have given the address; the functions as for `planClosedGrant`. */
  closeGrant(
    service: string,
    version: IpFamily,
    address: string,
    secondsByKnock: (prefix: string) => number | undefined,
    isOpenedAgain?: (prefix: string) => boolean,
  ): Promise<FirewallResult & ClosedBesides> {
    const { nft, exclusive } = this.access
    return exclusive(async () => {
      const closed = { service, version, address, secondsByKnock, isOpenedAgain }
      const { commands, details, ...besides } = await planClosedGrant(nft, closed)
      return { ...(await this.#run({ commands, details })), ...besides }
    })
  }

  /** The queue to which a packet path in the kernel sends, whichever process made it. */
  async queueInUse(): Promise<number | undefined> {
    return queueInUse(await this.access.nft.list({ elements: false }))
  }

  /** Says to services with fail-open that knocks are listened for. */
  stayAlive(): Promise<void> {
    return this.access.exclusive(() => this.access.nft.apply(refreshAlive()))
  }

  /** Says with which words packets of rotating formats begin now. */
  renewPeriods(words: readonly PeriodWords[]): Promise<void> {
    return this.access.exclusive(() => this.access.nft.apply(renewPeriods(words)))
  }

  /** Lets no more packets leave the kernel. Answers to what has left already still grant. */
  quiesce(): Promise<void> {
    const { nft, exclusive } = this.access
    return exclusive(async () => nft.apply(stopQueue(await nft.list({ elements: false }))), stopSeconds)
  }

  /** Removes the packet path. Services stay closed, grants run on. */
  uninstall(): Promise<void> {
    const { nft, iptablesQueue, exclusive } = this.access
    return exclusive(async () => {
      const listing = await readStructure(nft)
      await nft.apply(hasOnlyPacketPath(listing) ? [deleteTable()] : removePacketPath(listing))
      await iptablesQueue.remove().catch(ignoreMissingTool)
    }, stopSeconds)
  }

  /** Whether the kernel has nft's `queue` statement. NftError when nothing can be done here at all. */
  async probe(hook: Hook): Promise<{ nativeQueue: boolean }> {
    return { nativeQueue: await hasQueueStatement(this.access.nft, hook) }
  }

  /** The table that was made or taken over is pkctl's own. */
  async #keepNote({ takeOver = false }: FirewallChange, { present, handle }: Listing): Promise<void> {
    if (this.dryRun || (present && !takeOver)) return
    const now = present ? { present, handle } : await this.access.nft.list({ elements: false })
    if (now.present) this.access.tableNote.keep(now.handle)
  }

  async #runWithPacketPath(
    packetPath: PacketPathSpec,
    listing: Listing,
    transaction: Transaction,
  ): Promise<FirewallResult> {
    const { iptablesQueue } = this.access
    try {
      // Before the chains that mark for it; while it is there alone, it finds nothing to queue.
      if (packetPath.native) await iptablesQueue.remove().catch(ignoreMissingTool)
      else await iptablesQueue.install(packetPath.hook, packetPath.marks.queued, packetPath.queue)
      return await this.#run(transaction)
    } catch (error) {
      if (queueInUse(listing) === undefined) await iptablesQueue.remove().catch(() => undefined)
      throw error
    }
  }

  async #run({ commands, details }: Transaction): Promise<FirewallResult> {
    if (commands.length === 0) return { changed: false, details: [], commands: [] }
    if (this.dryRun) await this.access.nft.check(commands)
    else await this.access.nft.apply(signed(commands))
    return { changed: true, details, commands }
  }
}

function ignoreMissingTool(error: unknown): void {
  if (!(error instanceof NftError) || error.kind !== 'missing-tool') throw error
}
