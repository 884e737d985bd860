/** The process pkctld: puts its parts together, starts them, and stops them when a signal asks for it. */
import { randomInt } from 'node:crypto'
import * as fs from 'node:fs'
import { loadConfigInForce, readKeyFile, readOneTimeFile, unopenedServices } from '../config/index.js'
import type { Config } from '../config/types.js'
import type { SelfTestReport } from '../controller/index.js'
import { Controller, DueTriggers, newToken, KnockGrantStore, TriggerSchedule } from '../controller/index.js'
import { SavedRulesets } from '../nft/foreign/index.js'
import type { RulesetAccess, TableOwner } from '../nft/index.js'
import {
  daemonRuleset,
  Firewall,
  GrantTracker,
  Marks,
  openSession,
  RecentGrants,
  Reconciler,
  Standby,
  steadySeconds,
  watchRuleset,
} from '../nft/index.js'
import { lockAtOnce, rulesetQuestions } from '../queue/index.js'
import { queueStatistics } from '../queue/statistics.js'
import { ownerHint, reasonOf, UserError } from '../util/index.js'
import type { DaemonFleet } from './fleet/daemon-fleet.js'
import { commandRunner, commandTrier } from './run-trigger.js'
import { listenAt, stopping } from './control-socket.js'
import type { KeptSocket } from './kept-socket.js'
import { warnOfForeignMarks } from './foreign-marks.js'
import { openLoopback } from './loopback-socket.js'
import type { ConfiguredLog } from './winston-log.js'
import { createLog } from './winston-log.js'
import { History, withHistory } from './history.js'
import { Notifier, withNotifications } from './notify/notifier.js'
import { sendWebhook } from './notify/webhook.js'
import type { Metrics, MetricsParts } from './metrics/start.js'
import type { Reloads } from './reload-configuration.js'
import { keepForBoot, configurationSummary } from './reload-configuration.js'
import { requestHandler } from './request-handler.js'
import { serviceManager } from './systemd-notify.js'
import { startPacketWorker } from './start-packet-worker.js'
import { claimState } from './state-claim.js'
import { exitSoon, startStopDeadline } from './stop-deadline.js'

/** Resolves when the daemon was asked to stop and has. Rejects when it cannot start or go on. */
export async function runDaemon(file: string, version: string): Promise<void> {
  const { config, warnings } = loadConfigInForce(file)
  const giveBack = await claimState(config)
  const plainLog = createLog(config.log)
  const history = openHistory(config, plainLog)
  const historyLog = history ? withHistory(plainLog, history) : plainLog
  const notifier = new Notifier({ run: commandTrier(historyLog), send: sendWebhook, log: historyLog, now: Date.now })
  notifier.use(config.notify)
  const log = withNotifications(historyLog, notifier)
  for (const warning of warnings) log.warn(warning)
  try {
    await runConfigured(config, file, version, { log, notifier })
  } finally {
    giveBack()
    notifier.stop()
    history?.close()
    await log.close()
    exitSoon()
  }
}

function openHistory({ stateDirectory, log: { history } }: Config, log: ConfiguredLog): History | undefined {
  if (history === 0) return undefined
  return new History(stateDirectory, history, message => {
    log.warn(message)
  })
}

/** How often the daemon looks whether its files are still there. */
const keepMilliseconds = 10_000

async function runConfigured(
  config: Config,
  file: string,
  version: string,
  { log, notifier }: { readonly log: ConfiguredLog; readonly notifier: Notifier },
): Promise<void> {
  const manager = serviceManager(message => {
    log.warn(message)
  })
  let fail: (error: Error) => void = () => undefined
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => undefined)
  let listeners: readonly KeptSocket[] = []
  const closeListeners = () => Promise.all(listeners.map(listener => listener.close(stopping)))
  const asked = new Promise<NodeJS.Signals>(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve)
  })
  let metrics: Metrics | undefined
  const { ruleset, owner } = daemonRuleset(
    config.socket.path,
    message => log.warn(message),
    (request, seconds) => {
      metrics?.nftRequest(request, seconds)
    },
    lockAtOnce,
  )
  const firewall = new Firewall(ruleset)
  const { due, knockGrants } = openStores(config.stateDirectory, log)
  const onSelfTest = ({ result, because }: SelfTestReport) => {
    manager.note(result === 'failed' ? `the self-test failed: ${because}` : '')
  }
  const triggers = new TriggerSchedule({ log, due, run: commandRunner(log), now: Date.now })
  const fleet = await fleetOf(config, { version, store: knockGrants, firewall, triggers, log })
  const parts = { ruleset, owner, firewall, triggers, knockGrants, fleet, onSelfTest }
  const controller = createController(config, version, log, parts, fail)
  void asked.then(() => {
    startStopDeadline(log, () => {
      void closeListeners()
      controller.abandon()
    })
  })
  let started: () => void = () => undefined
  const ready = new Promise<void>(resolve => (started = resolve))
  const reloads: Reloads = { refused: null }
  const handle = requestHandler({ controller, fleet, firewall, owner, file, log, notifier, manager, reloads, ready })
  // From here on SIGHUP means reload, also while the start is still in progress.
  process.on('SIGHUP', () => void handle({ request: 'reload' }, { via: 'SIGHUP' }))
  logOnSignal('SIGUSR1', ready, log, () => controller.logGrants())
  logOnSignal('SIGUSR2', ready, log, () => controller.logSequencesInProgress())
  // That no process reads the output any more is no reason to end.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  listeners = await listenAt(config.socket, handle)
  let keeper: NodeJS.Timeout | undefined
  try {
    // Before the ports close; it waits for files for a few seconds at most.
    for (const warning of await unopenedServices(config)) log.warn(warning)
    await controller.start()
    fleet?.fleet.start()
    started()
    void warnOfForeignMarks(config, log)
    for (const warning of keepForBoot(config)) log.warn(warning)
    metrics = await metricsOf(config, { version, controller, reloads, fleet: fleet?.fleet, log })
    manager.ready(configurationSummary(config))
    manager.watch(() => controller.ping())
    keeper = setInterval(() => {
      due.keep()
      for (const listener of listeners) void listener.keep(log)
      // With each answer, the packet worker looks after the replay journal.
      controller.ping().catch(() => undefined)
    }, keepMilliseconds)
    await Promise.race([asked, failed])
    manager.stopping()
    await controller.stop()
  } finally {
    clearInterval(keeper)
    metrics?.stop()
    await fleet?.stop()
    controller.halt()
    manager.close()
    await closeListeners()
  }
}

/** Only who has a fleet pays for the library of its engine. */
async function fleetOf(
  config: Config,
  parts: ConstructorParameters<typeof DaemonFleet>[2],
): Promise<DaemonFleet | undefined> {
  if (config.fleet === null) return undefined
  const module = await import('./fleet/daemon-fleet.js')
  return new module.DaemonFleet(config.fleet, config, parts)
}

/** Only who wants metrics pays for their library. */
async function metricsOf(config: Config, parts: MetricsParts): Promise<Metrics | undefined> {
  if (config.metrics.listen === null && config.metrics.textfile === null) return undefined
  const { startMetrics } = await import('./metrics/start.js')
  return startMetrics(config, parts)
}

function createController(
  config: Config,
  version: string,
  log: ConfiguredLog,
  { ruleset, owner, firewall, triggers, knockGrants, fleet, onSelfTest }: DaemonParts,
  onFatal: (error: Error) => void,
): Controller {
  const markSeed = randomInt(2 ** 32)
  const selfTestToken = newToken()
  const marks = new Marks(config.marks.mask, markSeed)
  const recent = new RecentGrants()
  const tracker = new GrantTracker(marks, steadySeconds, recent)
  const standby = new Standby(openSession)
  return new Controller(config, {
    version,
    log,
    firewall,
    triggers,
    readOneTime: readOneTimeFile,
    ...{ knockGrants: fleet?.store ?? knockGrants, steadySeconds },
    ...(fleet && {
      onClosed: (service, address) => {
        fleet.closed(service, address)
      },
      claimKnock: claim => fleet.claim(claim),
    }),
    readKeyFile: (file, known) => readKeyFile(file, process.geteuid?.() ?? 0, known),
    marks,
    reconciling: {
      ...{ reconciler: new Reconciler(ruleset, tracker, standby), tracker },
      ...{ watch: watchRuleset, questions: rulesetQuestions() },
    },
    ownership: { owner, saved: new SavedRulesets(), exclusive: ruleset.exclusive },
    startWorker: (config, events) => startPacketWorker({ recent, markSeed, selfTestToken }, config, events),
    ...{ selfTestToken, openLoopback, onSelfTest },
    queueStatistics,
    now: Date.now,
    random: randomInt,
    onFatal,
  })
}

interface DaemonParts extends Pick<Stores, 'knockGrants'> {
  readonly triggers: TriggerSchedule
  readonly fleet: DaemonFleet | undefined
  readonly ruleset: RulesetAccess
  readonly owner: TableOwner
  readonly firewall: Firewall
  readonly onSelfTest: (report: SelfTestReport) => void
}

/** What the main thread keeps in the state directory. */
interface Stores {
  readonly due: DueTriggers
  readonly knockGrants: KnockGrantStore
}

function openStores(directory: string, log: ConfiguredLog): Stores {
  const report = (message: string) => {
    log.error(message)
  }
  try {
    const boot = bootId()
    return {
      due: DueTriggers.open(directory, report),
      knockGrants: KnockGrantStore.open(directory, { boot, now: steadySeconds, report }),
    }
  } catch (error) {
    throw new UserError(`the state directory ${directory} cannot be used: ${reasonOf(error)}`, ownerHint(error))
  }
}

/** All grants end with the boot, and its clock begins at zero. */
const bootId = () => fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()

function logOnSignal(signal: NodeJS.Signals, ready: Promise<void>, log: ConfiguredLog, write: () => Promise<void>) {
  process.on(signal, () => {
    ready.then(write).catch((error: unknown) => log.error(`the state cannot be logged: ${(error as Error).message}`))
  })
}
