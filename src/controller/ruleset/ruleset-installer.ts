/**
 * Installs the ruleset that the configuration asks for: active credentials are given marks, marks and services make the
 * packet path, and when the kernel has it, the packet worker and the triggers follow.
 */
import type { Config, Credential } from '../../config/types.js'
import type {
  FirewallResult,
  Firewall,
  GrantAction,
  Marks,
  PacketPathSpec,
  Reconciliation,
  ServiceSpec,
} from '../../nft/index.js'
import { vrfNames } from '../../net/index.js'
import { foreignGrantsWarning } from '../../nft/index.js'
import type { ActiveCredential, ReadOneTime } from '../verify/active-credentials.js'
import { activeCredentials, grantRequestOf, packetCredential, packetSequence } from '../verify/active-credentials.js'
import { warnOfMissingServices } from '../report/configuration-warnings.js'
import type { ReconcileParts } from './drift-watcher.js'
import type { Grants } from '../grants/grant-confirmation.js'
import type { Log } from '../report/log-interface.js'
import type { Allocation } from './mark-allocator.js'
import { MarkAllocator } from './mark-allocator.js'
import { readOneTimeOrLog } from '../verify/one-time-lists.js'
import { packetPathSpec } from './packet-path-settings.js'
import type { PacketWorker } from '../packets/packet-worker-interface.js'
import type { TriggerSchedule } from '../triggers/trigger-schedule.js'

interface InstallerParts {
  readonly log: Log
  readonly firewall: Pick<Firewall, 'install'>
  readonly triggers: Pick<TriggerSchedule, 'configure'>
  readonly reconciling: Pick<ReconcileParts, 'reconciler' | 'tracker'>
  readonly marks: Marks
  readonly selfTestToken: Uint8Array
  readonly readOneTime: ReadOneTime
  /** Unix milliseconds. */
  readonly now: () => number
  /** A whole number below its argument. */
  readonly random: (below: number) => number
}

/** Called when the kernel has the ruleset and the packet worker its credentials. */
export type OnInstalled = (enabled: readonly Credential[], services: ReadonlyMap<string, ServiceSpec>) => Promise<void>

/** Where knocks are queued, and the thread that reads them. */
interface KnockQueue {
  readonly worker: Pick<PacketWorker, 'configure'>
  readonly queue: number
  readonly native: boolean
}

interface PreparedRuleset {
  readonly active: readonly ActiveCredential[]
  readonly allocation: Allocation
  readonly packetPath: PacketPathSpec
  readonly services: ReadonlyMap<string, ServiceSpec>
}

export class RulesetInstaller {
  /** What the kernel grants, by credential. */
  granted: ReadonlyMap<string, Grants> = new Map()
  /** What the kernel and the packet worker have. */
  active: readonly ActiveCredential[] = []
  readonly #allocator: MarkAllocator

  constructor(
    readonly parts: InstallerParts,
    readonly knockQueue: KnockQueue,
    readonly onInstalled: OnInstalled,
  ) {
    this.#allocator = new MarkAllocator(parts.marks.maxActions, parts.random)
  }

  /** Creates or changes the services `specs`, and installs the packet path for all services. */
  async install(config: Config, specs: readonly ServiceSpec[]): Promise<FirewallResult> {
    const { firewall, log, reconciling } = this.parts
    const drafts: PreparedRuleset[] = []
    const packetPathFor = this.#drafter(config, drafts)
    const change = await firewall.install(specs, packetPathFor, reconciling.reconciler.table)
    if (change.removed > 0) log.warn(foreignGrantsWarning(change.removed), { event: 'saved-grants' })
    const draft = drafts.at(-1)
    if (draft) {
      await this.#apply(config, draft)
      await reconciling.reconciler.adopt(change.commands, draft.services, draft.packetPath)
    }
    for (const detail of change.details) log.info(detail)
    return change
  }

  /** Restores what other programs changed. `queueRule`: also the rule in iptables' mangle table. */
  async reconcile(config: Config, queueRule: boolean): Promise<Reconciliation> {
    const drafts: PreparedRuleset[] = []
    const reconciliation = await this.parts.reconciling.reconciler.reconcile(this.#drafter(config, drafts), queueRule)
    const draft = drafts.at(-1)
    if (draft) await this.#apply(config, draft)
    return reconciliation
  }

  /** Gives the packet path for the services that exist. The last draft counts, once the kernel has it: see `#apply`. */
  #drafter(config: Config, drafts: PreparedRuleset[]): (services: ReadonlyMap<string, ServiceSpec>) => PacketPathSpec {
    const { now, readOneTime, log, marks, selfTestToken } = this.parts
    const { queue, native } = this.knockQueue
    const binding = { queue, native, marks, selfTestToken }
    return services => {
      const readList = (file: string) => readOneTimeOrLog(file, readOneTime, log)
      const seconds = now() / 1000
      const active = activeCredentials(enabledIn(config), seconds, readList)
      const allocation = this.#allocator.allocate(active.map(grantRequestOf), services)
      const packetPath = packetPathSpec(config, active, allocation.actions, services, binding, seconds)
      drafts.push({ active, allocation, packetPath, services })
      return packetPath
    }
  }

  async #apply(config: Config, { active, allocation, services }: PreparedRuleset): Promise<void> {
    const { log, triggers, reconciling } = this.parts
    allocation.commit()
    reconciling.tracker.useActions(allocation.actions)
    const allocated = active.map((one, i) => ({ one, action: allocation.actionOf[i] as GrantAction }))
    const found = vrfNames()
    const vrfs = () => found
    await this.knockQueue.worker.configure(
      allocated.flatMap(({ one, action }) => (one.kind === 'packet' ? [packetCredential(one, action, vrfs)] : [])),
      allocated.flatMap(({ one, action }) => (one.kind === 'steps' ? [packetSequence(one, action, vrfs)] : [])),
    )
    this.active = active
    triggers.configure(config.credentials, services, config.limits)
    this.granted = new Map(allocated.map(({ one, action }) => [one.credential.name, action.grants]))
    const enabled = enabledIn(config)
    warnOfMissingServices(enabled, this.granted, log)
    await this.onInstalled(enabled, services)
  }
}

const enabledIn = ({ credentials }: Config) => credentials.filter(({ enabled }) => enabled)
