/**
 * The life of the daemon: start the packet worker, install the ruleset, keep it, reload, stop. Nothing here is on the
 * packet path.
 */
import type { Config } from '../config/types.js'
import type { FirewallResult } from '../nft/index.js'
import { tableName } from '../nft/index.js'
import { BackgroundWork } from './background-work.js'
import { collectStatus, type Status } from './report/collect-status.js'
import { endedCredentials, warnOfOrphans } from './report/configuration-warnings.js'
import type { ControllerParts } from './controller-parts.js'
import { EffectHandler } from './packets/effect-handler.js'
import { GrantConfirmation } from './grants/grant-confirmation.js'
import { KnockCommands } from './triggers/knock-commands.js'
import type { Observation } from './report/collect-metrics.js'
import { observe } from './report/collect-metrics.js'
import type { KnockClaim } from './packets/knock-claim.js'
import { ClosingKnocks } from './grants/closing-knocks.js'
import { OnBehalfGrants } from './grants/on-behalf-grants.js'
import type { PacketWorker } from './packets/packet-worker-interface.js'
import { Reporter } from './report/reporter.js'
import { RulesetChanges } from './ruleset/ruleset-changes.js'
import { type OnInstalled, RulesetInstaller } from './ruleset/ruleset-installer.js'
import type { GrantOwner, RevokedGrants, RevokedUser, RunningGrant } from './grants/knock-grants.js'
import { KnockGrants } from './grants/knock-grants.js'
import { changedStartOptions, withStartOptions } from './start-options.js'

interface Reload {
  readonly change: FirewallResult
  /** What is in force now. */
  readonly config: Config
  /** The names of options that differ from those in force, and take effect after a restart. */
  readonly needsRestart: readonly string[]
  /** What runs of credentials that are disabled or gone now. */
  readonly running: readonly RunningGrant[]
}

/** What there is from the start of the packet worker on. */
interface Running {
  readonly worker: PacketWorker
  readonly installer: RulesetInstaller
}

export class Controller {
  readonly #parts: ControllerParts
  readonly #background: BackgroundWork
  readonly #changes: RulesetChanges
  readonly #onBehalf: OnBehalfGrants
  readonly #signed: KnockGrants
  readonly #confirmation: GrantConfirmation
  readonly #reporter: Reporter
  readonly #commands: KnockCommands
  readonly #effects: EffectHandler
  /** The configuration at the start. Some of its options stay in force until a restart. */
  readonly #started: Config
  readonly #queue: number
  #config: Config
  #running: Running | undefined
  #nativeQueue = false
  /** Unix milliseconds. */
  #startedAt = 0
  #configuredAt: number

  constructor(config: Config, parts: ControllerParts) {
    const { log, firewall, triggers, now, knockGrants: store, steadySeconds, reconciling } = parts
    this.#started = this.#config = config
    this.#parts = parts
    this.#queue = config.queue.number
    this.#configuredAt = now()
    const grantsOf = (credential: string) => this.#running?.installer.granted.get(credential)
    this.#confirmation = new GrantConfirmation(
      firewall,
      () => performance.now() / 1000,
      () => {
        this.#background.grantAudit.soon()
      },
      (set, source) => reconciling.questions.secondsLeft(tableName, set, source),
    )
    this.#commands = new KnockCommands(triggers, grantsOf, this.#confirmation, log)
    const closings = new ClosingKnocks({ store, firewall, now: steadySeconds, onClosed: parts.onClosed })
    this.#onBehalf = new OnBehalfGrants(firewall, triggers, log, grantsOf, closings, () => {
      this.#confirmation.fail()
    })
    this.#reporter = new Reporter(log, grantsOf, this.#confirmation, this.#onBehalf)
    this.#signed = new KnockGrants({ store, firewall, triggers, grantsOf, now: steadySeconds, date: now })
    const background = new BackgroundWork({
      ...parts,
      worker: () => this.#running?.worker,
      active: () => this.#running?.installer.active ?? [],
      queue: () => ({ number: this.#queue, native: this.#nativeQueue }),
      refresh: () => this.refresh(),
      reconcile: queueRule => this.#changes.inTurn(() => this.#changes.reconcile(this.#config, queueRule)),
    })
    this.#background = background
    this.#changes = new RulesetChanges({
      installer: () => this.#installer,
      compared: reconciliation => {
        background.rulesetCheck.compared()
        background.unqueuedLog.note(reconciliation?.unqueued ?? [])
      },
      reconciled: reconciliation => {
        background.driftWatcher.reconciled(reconciliation)
      },
    })
    const { rotationTimer } = background
    const [commands, onBehalf, signed] = [this.#commands, this.#onBehalf, this.#signed]
    const onCarriedOut = (awaited: number) => this.#running?.worker.carriedOut(awaited)
    this.#effects = new EffectHandler({ commands, onBehalf, signed, rotationTimer, onCarriedOut, log })
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
    await this.#background.watchRuleset(this.#nativeQueue)
    const how = this.#nativeQueue
      ? "by nft's queue statement"
      : 'by a rule of iptables-nft, because this kernel has no queue statement in nft'
    log.info(`listening on queue ${this.#queue} ${how}`, { queue: this.#queue, native: this.#nativeQueue })
    await this.#background.untilWatched()
    this.#background.selfTest.follow(this.#config.selfTestSeconds)
  }

  /** Applies a valid configuration. When the kernel refuses it, the old one stays in force. */
  reload(loaded: Config): Promise<Reload> {
    const readAt = this.#parts.now()
    return this.#changes.inTurn(async () => {
      const before = this.#config
      const config = withStartOptions(this.#started, loaded)
      const change = await this.#changes.reconcileAndInstall(config)
      this.#config = config
      this.#configuredAt = readAt
      this.#background.selfTest.follow(config.selfTestSeconds)
      const running = await this.#leftBy(before, config)
      return { change, config, needsRestart: changedStartOptions(this.#started, loaded), running }
    })
  }

  /** Tells of services, and resolves to grants, that only the earlier configuration had. The new one is in force by now. */
  async #leftBy(before: Config, config: Config): Promise<readonly RunningGrant[]> {
    const { firewall, log } = this.#parts
    try {
      await warnOfOrphans(before, config, firewall, log)
      return await this.#signed.running(endedCredentials(before, config))
    } catch (error) {
      const why = (error as Error).message
      log.warn(
        `the new configuration is active, but pkctld could not find out which services and grants of the earlier one remain: ${why}`,
      )
      return []
    }
  }

  /** Takes over services that a command created, changed or removed in the kernel. */
  refresh(): Promise<FirewallResult> {
    return this.#changes.inTurn(() => this.#changes.reconcileAndInstall(this.#config, []))
  }

  /** Stops the kernel from queueing knocks, answers those in the queue, and ends. Ports stay closed, grants stay valid. */
  async stop(): Promise<void> {
    const stopped = this.#changes.inTurn(async () => {
      try {
        await this.#parts.firewall.quiesce()
      } finally {
        // Even if that fails, no knock is answered any more.
        await this.#running?.worker.stop()
      }
      await this.#parts.firewall.uninstall()
      await this.#background.ownership.end()
    })
    this.halt()
    try {
      await stopped
      await this.#reporter.settled()
    } finally {
      // Not before: while knocks are answered, their commands must be run or recorded.
      await this.#commands.settled()
      await this.#parts.triggers.stop()
      this.#parts.knockGrants.close()
    }
    this.#parts.log.info('stopped; protected ports stay closed, running grants stay valid until they end')
  }

  /** Starts nothing more, and waits for nothing; what has begun is completed. */
  halt(): void {
    this.#changes.end()
    this.#background.stop()
  }

  /** Ends the packet worker without the rest of `stop`, which takes too long. */
  abandon(): void {
    this.#running?.worker.stop().catch(() => undefined)
  }

  /** Resolves when the packet worker has answered and the ruleset is under control. Rejects with what does not work. */
  async ping(): Promise<void> {
    await this.#running?.worker.ping()
    const { problem } = this.#background.rulesetCheck
    if (problem !== undefined) throw new Error(problem)
    // What another program breaks stays broken after a restart, which would only keep the daemon from what works.
    const { selfTest } = this.#background
    if (selfTest.isForRestart) throw new Error(`the self-test failed: ${selfTest.report.because}`)
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
      grants: this.#background.grantCounts,
      drift: this.#background.driftWatcher,
      protection: this.#background.ownership.protection,
      queueStatistics,
      selfTest: this.#background.selfTest.report,
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
      drift: this.#background.driftWatcher,
      rest: {
        notGranted: this.#confirmation.missing,
        selfTest: this.#background.selfTest.report,
        grants: this.#background.grantCounts,
        owned: this.#background.ownership.protection.mode === 'owned',
        signatures: worker?.signatures ?? ('off' as const),
        credentials: this.#config.credentials.filter(({ enabled }) => enabled).length,
        configuredAt: this.#configuredAt / 1000,
      },
    }
    return observe(firewall, parts, left)
  }

  /** Whether the configuration has the credential. */
  hasCredential(name: string): boolean {
    return this.#config.credentials.some(credential => credential.name === name)
  }

  /** Revokes what runs for the user, whose keys are out of the files by now, or for all of a credential. */
  async revokeGrants(whose: RevokedUser): Promise<RevokedGrants> {
    // From here on no knock of theirs counts, and none that counted is unknown.
    await this.#background.keys.readNow()
    await this.#running?.worker.ping()
    await this.#onBehalf.settled()
    return this.#signed.revoke(whose)
  }

  /** Who is behind the grants by knock that run. */
  whose(): readonly GrantOwner[] {
    return this.#signed.whose()
  }

  /** A command has deleted what the source, an address or a prefix, had of the service. */
  grantDeleted(service: string, source: string): void {
    this.#signed.deleted(service, source)
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
        for (const event of [...events, ...(suppressed.unnamed ?? [])]) this.#signed.noteEvent(event)
        this.#reporter.knocks(events, suppressed)
      },
      effects: effects => {
        for (const effect of effects) this.#effects.handle(effect)
      },
      claims: claims => {
        for (const claim of claims) void this.#claim(claim)
      },
      ownSeen: numbers => {
        this.#background.selfTest.seen(numbers)
      },
      rulesetChanged: () => {
        this.#background.driftWatcher.rulesetChanged()
      },
      trouble: (level, message) => {
        // What the packet worker calls an error keeps valid knocks from opening.
        log[level](message, level === 'error' ? { event: 'lockout-risk' } : undefined)
      },
      died: onFatal,
    })
    const knockQueue = { worker, queue: this.#queue, native: this.#nativeQueue }
    const onInstalled: OnInstalled = async (enabled, services) => {
      if (!this.#changes.hasEnded) await this.#background.follow(enabled, services)
    }
    this.#running = { worker, installer: new RulesetInstaller(this.#parts, knockQueue, onInstalled) }
    return worker
  }

  async #claim(claim: KnockClaim): Promise<void> {
    const result = (await this.#parts.claimKnock?.(claim)) ?? 'fleet-away'
    this.#running?.worker.claimed({ id: claim.id, result })
  }

  // Two daemons in one network namespace would replace each other's packet path, and neither would notice.
  async #refuseSecond(): Promise<void> {
    const queue = await this.#parts.firewall.queueInUse()
    if (queue === undefined || queue === this.#queue || !this.#parts.queueStatistics(queue)) return
    throw new Error(`another pkctld listens on queue ${queue} here`)
  }
}
