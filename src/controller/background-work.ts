/** What runs beside the packets from the start of the daemon to its end: timers, and the watch over the ruleset and keys. */
import type { Credential } from '../config/types.js'
import type { Reconciliation, ServiceSpec } from '../nft/index.js'
import { changesGrants } from '../nft/index.js'
import type { GrantCounts } from './report/collect-status.js'
import type { ControllerParts } from './controller-parts.js'
import { DriftWatcher } from './ruleset/drift-watcher.js'
import { ExpiryWarning } from './report/expiry-warning.js'
import { FailOpenHeartbeat } from './ruleset/fail-open-heartbeat.js'
import { ForeignGrants } from './grants/foreign-grants.js'
import { GrantAudit } from './grants/grant-audit.js'
import { KeyWatch } from './verify/key-watch.js'
import type { PacketWorker } from './packets/packet-worker-interface.js'
import { PeriodRenewal } from './ruleset/period-renewal.js'
import { RotationTimer } from './ruleset/rotation-timer.js'
import { RulesetCheck } from './ruleset/ruleset-check.js'
import type { SelfTestParts } from './self-test/self-test.js'
import { SelfTest } from './self-test/self-test.js'
import { TableOwnership } from './ruleset/table-ownership.js'
import { UnqueuedLog } from './report/unqueued-log.js'

/** How late the monitor may be: it reads the big lists that other programs load, too. */
const monitorMilliseconds = 5000

/** A start waits so long for the first reading of the grants: mostly a moment, but seconds when there are very many. */
const watchedMilliseconds = 2000

/** A self-test says so after this time without a comparison: with its interval, that is within two minutes. */
const comparedMilliseconds = 45_000

interface WorkParts extends Pick<
  ControllerParts,
  | 'log'
  | 'firewall'
  | 'readKeyFile'
  | 'reconciling'
  | 'ownership'
  | 'now'
  | 'queueStatistics'
  | 'selfTestToken'
  | 'openLoopback'
  | 'onSelfTest'
> {
  readonly worker: () => PacketWorker | undefined
  readonly active: SelfTestParts['active']
  readonly queue: SelfTestParts['queue']
  /** Installs the sequences of this hour. */
  readonly refresh: () => Promise<unknown>
  /** Restores the table in turn with other changes. `queueRule` asks also for the rule of iptables. */
  readonly reconcile: (queueRule: boolean) => Promise<Reconciliation>
}

export class BackgroundWork {
  readonly driftWatcher: DriftWatcher
  readonly rulesetCheck: RulesetCheck
  readonly ownership: TableOwnership
  readonly rotationTimer: RotationTimer
  readonly keys: KeyWatch
  readonly selfTest: SelfTest
  readonly grantAudit: GrantAudit
  readonly unqueuedLog: UnqueuedLog
  readonly #foreignGrants: ForeignGrants
  readonly #heartbeat: FailOpenHeartbeat
  readonly #expiry: ExpiryWarning
  readonly #periods: PeriodRenewal

  constructor(parts: WorkParts) {
    const { log, firewall, readKeyFile, reconciling, ownership, now, worker, refresh, reconcile } = parts
    this.unqueuedLog = new UnqueuedLog(log, () => performance.now())
    this.#heartbeat = new FailOpenHeartbeat(firewall, log)
    this.#periods = new PeriodRenewal(firewall, now, log)
    this.keys = new KeyWatch(readKeyFile, worker, log)
    this.#expiry = new ExpiryWarning({ files: () => this.keys.texts, log, now })
    this.rotationTimer = new RotationTimer(refresh, () => now() / 1000, log)
    const { reconciler, tracker } = reconciling
    this.#foreignGrants = new ForeignGrants(log, () => performance.now() / 1000)
    this.grantAudit = new GrantAudit({
      compare: () => reconciler.grants.compare(),
      giveAgain: missing => reconciler.grants.giveAgain(missing),
      accept: grant => {
        tracker.accept(grant)
      },
      ...{ log, now },
    })
    const drift = (this.driftWatcher = new DriftWatcher(reconciling, log, reconcile, transaction => {
      this.#foreignGrants.follow(transaction)
      if (transaction.events.some(changesGrants)) this.grantAudit.soon()
    }))
    this.ownership = new TableOwnership(ownership, log, wanted => {
      if (reconciling.reconciler.requirePersist(wanted)) drift.compare()
    })
    this.rulesetCheck = new RulesetCheck({
      compare: () => {
        drift.compare()
      },
      monitorReports: () => reconciling.reconciler.monitorReports(monitorMilliseconds),
      restartMonitor: reason => {
        drift.restartMonitor(reason)
      },
    })
    this.selfTest = new SelfTest({
      ...parts,
      token: parts.selfTestToken,
      onChange: parts.onSelfTest,
      rulesetProblem: () => this.rulesetCheck.problemFor(comparedMilliseconds),
    })
  }

  get grantCounts(): GrantCounts {
    return { ...this.grantAudit.counts, byOthers: this.#foreignGrants.count }
  }

  /** Begins to watch the ruleset. Resolves when, mostly, drift is noticed at once. */
  async watchRuleset(nativeQueue: boolean): Promise<void> {
    this.driftWatcher.start(!nativeQueue)
    this.rulesetCheck.start()
    this.grantAudit.start()
    await this.ownership.start()
  }

  untilWatched(): Promise<void> {
    return this.driftWatcher.untilWatched(watchedMilliseconds)
  }

  /** To be called when the packet path has just been installed for these credentials and services. */
  async follow(enabled: readonly Credential[], services: ReadonlyMap<string, ServiceSpec>): Promise<void> {
    this.rotationTimer.waitForTurn(enabled)
    this.#periods.follow(enabled)
    await this.keys.follow(enabled)
    this.#expiry.follow(enabled)
    if ([...services.values()].some(({ failOpen }) => failOpen)) await this.#heartbeat.start()
    else this.#heartbeat.stop()
  }

  /** Starts nothing more, and waits for nothing; what has begun is completed. */
  stop(): void {
    this.rotationTimer.stop()
    this.#heartbeat.stop()
    this.#periods.stop()
    this.keys.stop()
    this.#expiry.stop()
    this.selfTest.stop()
    this.rulesetCheck.stop()
    this.grantAudit.stop()
    this.ownership.stop()
    this.driftWatcher.stop()
  }
}
