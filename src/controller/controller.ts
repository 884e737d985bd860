/**
 * The life of the daemon: start the packet worker, install the ruleset, keep it, reload, stop. Nothing here is on the
 * packet path.
 */
import type { Config, Credential } from '../config/types.js'
import type { FirewallError } from '../nft/nft-errors.js'
import type { Change, Firewall, Marks, Reconciliation, ServiceSpec } from '../nft/index.js'
import { LockError } from '../nft/index.js'
import type { QueueStatistics } from '../queue/statistics.js'
import type { ReadOneTime } from './active-credentials.js'
import { warnOfOrphans } from './configuration-warnings.js'
import type { ReconcileParts } from './drift-watcher.js'
import { DriftWatcher } from './drift-watcher.js'
import { GrantConfirmation } from './grant-confirmation.js'
import { FailOpenHeartbeat } from './fail-open-heartbeat.js'
import { KnockCommands } from './knock-commands.js'
import type { Effect } from './knock-events.js'
import type { ReadKeyFile } from './key-watch.js'
import { KeyWatch } from './key-watch.js'
import type { Log } from './log.js'
import { OnBehalfGrants } from './on-behalf-grants.js'
import type { Observation } from './observation.js'
import { observe } from './observation.js'
import type { PacketWorker, PacketWorkerEvents } from './packet-worker-interface.js'
import { Reporter } from './reporter.js'
import { RotationTimer } from './rotation-timer.js'
import { RulesetCheck } from './ruleset-check.js'
import { RulesetInstaller } from './ruleset-installer.js'
import type { SignedGrantStore } from './signed-grant-store.js'
import type { RevokedGrants, RevokedUser } from './signed-grants.js'
import { SignedGrants } from './signed-grants.js'
import { changedStartOptions, withStartOptions } from './start-options.js'
import type { Status } from './collect-status.js'
import { collectStatus } from './collect-status.js'
import type { OwnershipParts } from './table-ownership.js'
import { TableOwnership } from './table-ownership.js'
import type { Triggers } from './triggers.js'
import { PeriodRenewal } from './period-renewal.js'

/** How often an installation starts again when another program deletes the table at the same moment. */
const installAttempts = 3

/** A start waits so long for the first reading of the grants: mostly a moment, but seconds when there are very many. */
const watchedMilliseconds = 2000

/** How late the monitor may be: it reads the big lists that other programs load, too. */
const monitorMilliseconds = 5000

export interface ControllerParts {
  readonly version: string
  readonly log: Log
  readonly firewall: Firewall
  readonly triggers: Triggers
  readonly readOneTime: ReadOneTime
  readonly readKeyFile: ReadKeyFile
  readonly signedGrants: Pick<SignedGrantStore, 'note' | 'end' | 'running' | 'close'>
  /** Seconds of the clock of `signedGrants`. */
  readonly steadySeconds: () => number
  readonly marks: Marks
  readonly reconciling: ReconcileParts
  readonly ownership: OwnershipParts
  readonly startWorker: (config: Config, events: PacketWorkerEvents) => Promise<PacketWorker>
  readonly queueStatistics: (number: number) => QueueStatistics | undefined
  /** Unix milliseconds. */
  readonly now: () => number
  /** A whole number below its argument. */
  readonly random: (below: number) => number
  /** Called when the daemon cannot go on. */
  readonly onFatal: (error: Error) => void
}

interface Reload {
  readonly change: Change
  /** What is in force now. */
  readonly config: Config
  /** The names of options that differ from those in force, and take effect after a restart. */
  readonly needsRestart: readonly string[]
}

/** What there is from the start of the packet worker on. */
interface Running {
  readonly worker: PacketWorker
  readonly installer: RulesetInstaller
}

export class Controller {
  readonly #parts: ControllerParts
  readonly #driftWatcher: DriftWatcher
  readonly #rulesetCheck: RulesetCheck
  readonly #ownership: TableOwnership
  readonly #heartbeat: FailOpenHeartbeat
  readonly #rotationTimer: RotationTimer
  readonly #periods: PeriodRenewal
  readonly #keys: KeyWatch
  readonly #onBehalf: OnBehalfGrants
  readonly #signed: SignedGrants
  readonly #confirmation: GrantConfirmation
  readonly #reporter: Reporter
  readonly #commands: KnockCommands
  /** The configuration at the start. Some of its options stay in force until a restart. */
  readonly #started: Config
  readonly #queue: number
  #config: Config
  #running: Running | undefined
  #nativeQueue = false
  #isStopping = false
  /** Unix milliseconds. */
  #startedAt = 0
  #configuredAt: number
  /** Changes of the ruleset follow one another, because each reads it first. */
  #lastChange: Promise<unknown> = Promise.resolve()

  constructor(config: Config, parts: ControllerParts) {
    const { log, firewall, triggers, reconciling, ownership, now } = parts
    this.#started = this.#config = config
    this.#parts = parts
    this.#queue = config.queue.number
    this.#configuredAt = now()
    const grantsOf = (credential: string) => this.#running?.installer.granted.get(credential)
    this.#confirmation = new GrantConfirmation(firewall, () => performance.now() / 1000)
    this.#reporter = new Reporter(log, grantsOf, this.#confirmation)
    this.#commands = new KnockCommands(triggers, grantsOf, this.#confirmation, log)
    this.#onBehalf = new OnBehalfGrants(firewall, triggers, log, grantsOf)
    const { signedGrants: store, steadySeconds } = parts
    this.#signed = new SignedGrants({ store, firewall, triggers, grantsOf, now: steadySeconds })
    this.#heartbeat = new FailOpenHeartbeat(firewall, log)
    this.#periods = new PeriodRenewal(firewall, now, log)
    this.#keys = new KeyWatch(parts.readKeyFile, () => this.#running?.worker, log)
    this.#rotationTimer = new RotationTimer(
      () => this.refresh(),
      () => now() / 1000,
      log,
    )
    this.#driftWatcher = new DriftWatcher(reconciling, log, queueRule =>
      this.#inTurn(() => this.#reconcile(this.#config, queueRule)),
    )
    this.#ownership = new TableOwnership(ownership, log, wanted => {
      if (reconciling.reconciler.requirePersist(wanted)) this.#driftWatcher.compare()
    })
    this.#rulesetCheck = new RulesetCheck({
      compare: () => {
        this.#driftWatcher.compare()
      },
      monitorReports: () => reconciling.reconciler.monitorReports(monitorMilliseconds),
      restartMonitor: reason => {
        this.#driftWatcher.restartMonitor(reason)
      },
    })
  }

  /** Resolves when knocks are answered and, mostly, drift is noticed at once. Throws, with nothing changed, when the queue or the ruleset is not available. */
  async start(): Promise<void> {
    const { firewall, log, now } = this.#parts
    this.#startedAt = now()
    this.#nativeQueue = (await firewall.probe('input')).nativeQueue
    await this.#refuseSecond()
    const worker = await this.#startWorker()
    try {
      await this.#installer.install(this.#config, this.#config.services)
    } catch (error) {
      this.halt()
      await worker.stop()
      throw error
    }
    this.#driftWatcher.start(!this.#nativeQueue)
    this.#rulesetCheck.start()
    await this.#ownership.start()
    const how = this.#nativeQueue
      ? "by nft's queue statement"
      : 'by a rule of iptables-nft, for this kernel has no queue statement in nft'
    log.info(`listening on queue ${this.#queue} ${how}`, { queue: this.#queue, native: this.#nativeQueue })
    await this.#driftWatcher.untilWatched(watchedMilliseconds)
  }

  /** Applies a valid configuration. When the kernel refuses it, the old one stays in force. */
  reload(loaded: Config): Promise<Reload> {
    const readAt = this.#parts.now()
    return this.#inTurn(async () => {
      const before = this.#config
      const config = withStartOptions(this.#started, loaded)
      const change = await this.#reconcileAndInstall(config)
      this.#config = config
      this.#configuredAt = readAt
      await warnOfOrphans(before, config, this.#parts.firewall, this.#parts.log)
      return { change, config, needsRestart: changedStartOptions(this.#started, loaded) }
    })
  }

  /** Takes over services that a command created, changed or removed in the kernel. */
  refresh(): Promise<Change> {
    return this.#inTurn(() => this.#reconcileAndInstall(this.#config, []))
  }

  /** Stops the kernel from queueing knocks, answers those in the queue, and ends. Ports stay closed, grants stay valid. */
  async stop(): Promise<void> {
    const stopped = this.#inTurn(async () => {
      try {
        await this.#parts.firewall.quiesce()
      } finally {
        // Even if that fails, no knock is answered any more.
        await this.#running?.worker.stop()
      }
      await this.#parts.firewall.uninstall()
      await this.#ownership.end()
    })
    this.halt()
    try {
      await stopped
      await this.#reporter.settled()
    } finally {
      // Not before: while knocks are answered, their commands must be run or recorded.
      await this.#commands.settled()
      await this.#parts.triggers.stop()
      this.#parts.signedGrants.close()
    }
    this.#parts.log.info('stopped; protected ports stay closed, running grants stay valid until they end')
  }

  /** Starts nothing more, and waits for nothing; what has begun is completed. */
  halt(): void {
    this.#isStopping = true
    this.#rotationTimer.stop()
    this.#heartbeat.stop()
    this.#periods.stop()
    this.#keys.stop()
    this.#rulesetCheck.stop()
    this.#ownership.stop()
    this.#driftWatcher.stop()
  }

  /** Ends the packet worker without the rest of `stop`, which takes too long. */
  abandon(): void {
    this.#running?.worker.stop().catch(() => undefined)
  }

  /** Resolves when the packet worker has answered and the ruleset is under control. Rejects with what does not work. */
  async ping(): Promise<void> {
    await this.#running?.worker.ping()
    const { problem } = this.#rulesetCheck
    if (problem !== undefined) throw new Error(problem)
  }

  /** Rejects when `left` is aborted: who asked does not wait any more. */
  status(left?: AbortSignal): Promise<Status> {
    const { firewall, queueStatistics, version, now } = this.#parts
    return collectStatus(firewall, {
      version,
      config: this.#config,
      startedAt: this.#startedAt,
      configuredAt: this.#configuredAt,
      now: now(),
      queue: this.#queue,
      native: this.#nativeQueue,
      counters: this.#running?.worker.counters,
      signatures: this.#running?.worker.signatures ?? 'off',
      confirmation: this.#confirmation,
      drift: this.#driftWatcher,
      protection: this.#ownership.protection,
      queueStatistics,
      left,
    })
  }

  /** For metrics. What does not come before `left` is aborted is left out. */
  observe(left: AbortSignal): Promise<Observation> {
    const { firewall, queueStatistics } = this.#parts
    const worker = this.#running?.worker
    const parts = {
      worker,
      counters: worker?.counters,
      queue: queueStatistics(this.#queue),
      drift: this.#driftWatcher,
      rest: {
        notGranted: this.#confirmation.missing,
        owned: this.#ownership.protection.mode === 'owned',
        signatures: worker?.signatures ?? ('off' as const),
        credentials: this.#config.credentials.filter(({ enabled }) => enabled).length,
        configuredAt: this.#configuredAt / 1000,
      },
    }
    return observe(firewall, parts, left)
  }

  /** Revokes what runs for the user, whose keys are out of the files by now. */
  async revokeGrants(whose: RevokedUser): Promise<RevokedGrants> {
    // From here on no knock of theirs counts, and none that counted is unknown.
    await this.#keys.readNow()
    await this.#running?.worker.ping()
    await this.#onBehalf.settled()
    return this.#signed.revoke(whose)
  }

  logGrants(): Promise<void> {
    return this.#reporter.grants(this.#parts.firewall)
  }

  async logSequencesInProgress(): Promise<void> {
    this.#reporter.sequencesInProgress((await this.#running?.worker.sequencesInProgress()) ?? [])
  }

  get #installer(): RulesetInstaller {
    if (!this.#running) throw new Error('the daemon has not started yet')
    return this.#running.installer
  }

  async #startWorker(): Promise<PacketWorker> {
    const { startWorker, log, onFatal } = this.#parts
    const worker = await startWorker(this.#config, {
      knocks: (events, suppressed) => {
        this.#reporter.knocks(events, suppressed)
      },
      effects: effects => {
        for (const effect of effects) this.#follow(effect)
      },
      rulesetChanged: () => {
        this.#driftWatcher.rulesetChanged()
      },
      trouble: (level, message) => {
        log[level](message)
      },
      died: onFatal,
    })
    const knockQueue = { worker, queue: this.#queue, native: this.#nativeQueue }
    const onInstalled = this.#onInstalled.bind(this)
    this.#running = { worker, installer: new RulesetInstaller(this.#parts, knockQueue, onInstalled) }
    return worker
  }

  async #reconcile(config: Config, queueRule: boolean): Promise<Reconciliation> {
    try {
      const reconciliation = await this.#installer.reconcile(config, queueRule)
      this.#rulesetCheck.compared()
      return reconciliation
    } catch (error) {
      // Another program has the lock. A daemon that is started again would not get it, either.
      if (error instanceof LockError) this.#rulesetCheck.compared()
      throw error
    }
  }

  // Two daemons in one network namespace would replace each other's packet path, and neither would notice.
  async #refuseSecond(): Promise<void> {
    const queue = await this.#parts.firewall.queueInUse()
    if (queue === undefined || queue === this.#queue || !this.#parts.queueStatistics(queue)) return
    throw new Error(`another pkctld listens on queue ${queue} here`)
  }

  /** Restores the table first: what another program has just changed must not become what the table should be. */
  async #reconcileAndInstall(config: Config, specs: readonly ServiceSpec[] = config.services): Promise<Change> {
    for (let attempt = 1; ; attempt++) {
      this.#driftWatcher.reconciled(await this.#reconcile(this.#config, false))
      try {
        return await this.#installer.install(config, specs)
      } catch (error) {
        // The table was changed between the two steps.
        const again = (error as Partial<FirewallError>).kind === 'replaced' && attempt < installAttempts
        if (!again) throw error
      }
    }
  }

  async #onInstalled(enabled: readonly Credential[], services: ReadonlyMap<string, ServiceSpec>): Promise<void> {
    if (this.#isStopping) return
    this.#rotationTimer.waitForTurn(enabled)
    this.#periods.follow(enabled)
    await this.#keys.follow(enabled)
    if ([...services.values()].some(({ failOpen }) => failOpen)) await this.#heartbeat.start()
    else this.#heartbeat.stop()
  }

  /** Carries out what follows a decision outside of the packet worker. */
  #follow(effect: Effect): void {
    const { kind, credential } = effect
    if (kind === 'opened') this.#commands.opened(credential, effect.address)
    else if (kind === 'closed') this.#commands.closed(credential, effect.address)
    else if (kind === 'signed') this.#signed.note(effect)
    else if (kind === 'on-behalf') this.#onBehalf.request(credential, effect.address, effect.part)
    else if (kind === 'revoke') this.#onBehalf.revoke(credential, effect.address, effect.part)
    else void this.#installNextSequence(credential)
  }

  async #installNextSequence(credential: string): Promise<void> {
    if (!(await this.#rotationTimer.runNow(`the next sequence of ${credential} could not be put in place`))) return
    this.#parts.log.info(`a sequence of ${credential} is used up; from now on the next one counts`, { credential })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    // A change after the end would install again what has just been uninstalled.
    if (this.#isStopping) return Promise.reject(new Error('the daemon is about to end'))
    const result = this.#lastChange.then(work)
    this.#lastChange = result.catch(() => undefined)
    return result
  }
}
