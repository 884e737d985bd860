import { randomInt } from 'node:crypto'
import { Command } from 'commander'
import { loadConfig } from '../../config/load.js'
import { readOneTimeFile } from '../../config/one-time-file.js'
import type { Config } from '../../config/types.js'
import { Controller } from '../../controller/controller.js'
import { ExpiryStore } from '../../controller/expiry-store.js'
import { Triggers } from '../../controller/triggers.js'
import { commandRunner } from '../../daemon/command-runner.js'
import type { ConfiguredLog } from '../../daemon/log.js'
import { createLog } from '../../daemon/log.js'
import { startPacketWorker } from '../../daemon/start-packet-worker.js'
import { keepForBoot, listenAt, requestHandler, summaryOf } from '../../daemon/request-handler.js'
import { serviceManager } from '../../daemon/service-manager.js'
import { realFirewall } from '../../nft/kernel-firewall.js'
import { GrantTracker } from '../../nft/reconcile/grant-tracker.js'
import { watchRuleset } from '../../nft/reconcile/monitor.js'
import { RecentGrants, steadySeconds } from '../../nft/reconcile/recent-grants.js'
import { Reconciler } from '../../nft/reconcile/reconciler.js'
import { Marks } from '../../nft/table/packet-path.js'
import { queueStatistics } from '../../queue/statistics.js'
import { defaultConfig } from '../../util/default-paths.js'
import type { Terminal } from '../../util/terminal.js'
import { UserError } from '../../util/user-error.js'
import { version } from '../version.js'

const daemonHelp = `
Stays in the foreground. SIGHUP reloads the configuration; SIGUSR1 logs who is let in, and SIGUSR2 who is in the middle
of a sequence; SIGTERM and SIGINT end it: protected ports stay closed, and running grants stay valid until they end.`

export function daemonCommand(_: Terminal): Command {
  return new Command('daemon')
    .description('listen for knocks and grant access (also installed as pkctld)')
    .option('--config <file>', 'configuration', defaultConfig)
    .addHelpText('after', daemonHelp)
    .action((flags: { config: string }) => runDaemon(flags.config))
}

/** Resolves when the daemon was asked to end and has; rejects when it cannot start or go on. */
async function runDaemon(file: string): Promise<void> {
  const { config, warnings } = loadConfig(file)
  const log = createLog(config.log)
  for (const warning of warnings) log.warn(warning)
  try {
    await runConfigured(file, config, log)
  } finally {
    await log.close()
  }
}

async function runConfigured(file: string, config: Config, log: ConfiguredLog): Promise<void> {
  const manager = serviceManager(message => {
    log.warn(message)
  })
  let fail: (error: Error) => void = () => undefined
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => undefined)
  const asked = new Promise<NodeJS.Signals>(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve)
  })

  const firewall = realFirewall()
  const marks = new Marks(config.marks.mask)
  const recent = new RecentGrants()
  const book = new GrantTracker(marks, firewall.mask, steadySeconds, recent)
  const controller = new Controller(config, {
    version,
    log,
    firewall,
    triggers: new Triggers({ log, due: openDue(config.stateDirectory), run: commandRunner(log), now: Date.now }),
    readOneTime: readOneTimeFile,
    marks,
    healing: { reconciler: new Reconciler(firewall, book), book, watch: watchRuleset },
    startWorker: (config, events) => startPacketWorker(recent, config, events),
    queueStatistics,
    now: Date.now,
    random: randomInt,
    onFatal: fail,
  })
  // From here on SIGHUP means reload, also while the start is still under way.
  let started: () => void = () => undefined
  const ready = new Promise<void>(resolve => (started = resolve))
  const handle = requestHandler({ controller, firewall, file, log, manager, ready })
  process.on('SIGHUP', () => void handle({ request: 'reload' }, 'SIGHUP'))
  const dump = (say: () => Promise<void>) => () => {
    ready.then(say).catch((error: unknown) => log.error(`nothing can be said: ${(error as Error).message}`))
  }
  process.on(
    'SIGUSR1',
    dump(() => controller.logGrants()),
  )
  process.on(
    'SIGUSR2',
    dump(() => controller.logSequencesInProgress()),
  )
  // Nobody may be left who reads what we say; that is no reason to end.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  // The socket first: it tells a second daemon that there is one already, before anything is touched.
  const listeners = await listenAt(config.socket, handle)
  try {
    await controller.start()
    started()
    keepForBoot(config, log)
    manager.ready(summaryOf(config))
    manager.watch(() => controller.ping())
    await Promise.race([asked, failed])
    manager.stopping()
    await controller.stop()
  } finally {
    controller.halt()
    manager.close()
    for (const listener of listeners) await listener.close()
  }
}

function openDue(directory: string): ExpiryStore {
  try {
    return ExpiryStore.open(directory)
  } catch (error) {
    throw new UserError(`the state directory ${directory} cannot be used: ${(error as Error).message}`)
  }
}
