import { Command } from 'commander'
import { randomInt } from 'node:crypto'
import { loadConfig } from '../../controller/config/load.js'
import type { Config } from '../../controller/config/types.js'
import { Daemon } from '../../controller/daemon.js'
import { DueFile } from '../../controller/duefile.js'
import { readOneTimeFile } from '../../controller/onetimefile.js'
import { Triggers } from '../../controller/triggers.js'
import { Marks } from '../../nft/queueing.js'
import { queueStatistics } from '../../queue/statistics.js'
import { keepServices } from '../../controller/keptservices.js'
import { defaultConfig } from '../change.js'
import { commandRunner } from '../commandrunner.js'
import { realFirewall } from '../firewall.js'
import type { ConfiguredLog } from '../log.js'
import { createLog } from '../log.js'
import { startPacketThread } from '../packetthread.js'
import { problemsOf } from '../problems.js'
import type { ServiceManager } from '../servicemanager.js'
import { serviceManager } from '../servicemanager.js'
import type { Answer, Request } from '../socket.js'
import { listen, requestIn, requests, unknownRequest } from '../socket.js'
import type { Terminal } from '../terminal.js'
import { CliError } from '../terminal.js'
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
  const manager = serviceManager(message => {
    log.warn(message)
  })
  let fail: (error: Error) => void = () => undefined
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => undefined)
  const asked = new Promise<NodeJS.Signals>(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve)
  })

  const daemon = new Daemon(config, {
    version,
    log,
    firewall: realFirewall(),
    triggers: new Triggers({ log, due: openDue(config.stateDirectory), run: commandRunner(log), now: Date.now }),
    readOneTime: readOneTimeFile,
    marks: new Marks(config.marks.mask),
    startPath: startPacketThread,
    queueStatistics,
    now: Date.now,
    random: randomInt,
    onFatal: fail,
  })
  // From here on SIGHUP means reload, also while the start is still under way.
  let started: () => void = () => undefined
  const ready = new Promise<void>(resolve => (started = resolve))
  const handle = requestHandler(daemon, file, log, ready, manager)
  process.on('SIGHUP', () => void handle('reload'))
  const dump = (say: () => Promise<void>) => () => {
    ready.then(say).catch((error: unknown) => log.error(`nothing can be said: ${(error as Error).message}`))
  }
  process.on(
    'SIGUSR1',
    dump(() => daemon.logGrants()),
  )
  process.on(
    'SIGUSR2',
    dump(() => daemon.logMidway()),
  )
  // Nobody may be left who reads what we say; that is no reason to end.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  // The socket first: it tells a second daemon that there is one already, before anything is touched.
  const listener = await listen(config.socket, message => {
    const request = requestIn(message, requests)
    return request ? handle(request) : Promise.resolve(unknownRequest)
  })
  try {
    await daemon.start()
    started()
    keep(config, log)
    manager.ready(summary(config))
    manager.watch(() => daemon.answers())
    await Promise.race([asked, failed])
    manager.stopping()
    await daemon.stop()
  } finally {
    manager.close()
    await listener.close()
    await log.close()
  }
}

function openDue(directory: string): DueFile {
  try {
    return DueFile.open(directory)
  } catch (error) {
    throw new CliError(`the state directory ${directory} cannot be used: ${(error as Error).message}`)
  }
}

function requestHandler(
  daemon: Daemon,
  file: string,
  log: ConfiguredLog,
  ready: Promise<void>,
  manager: ServiceManager,
): (request: Request) => Promise<Answer> {
  return async request => {
    await ready
    try {
      switch (request) {
        case 'status':
          return { ok: true, result: await daemon.status() }
        case 'refresh':
          return { ok: true, result: (await daemon.refresh()).changed }
        case 'reload':
          return { ok: true, result: await reload(daemon, file, log, manager) }
      }
    } catch (error) {
      const problems = problemsOf(error)
      if (request !== 'reload') return { ok: false, problems }
      for (const { message } of problems) {
        log.error(`the configuration is refused, the old one stays in force: ${message}`)
      }
      return { ok: false, problems: [...problems, { message: 'the old configuration stays in force' }] }
    }
  }
}

async function reload(daemon: Daemon, file: string, log: ConfiguredLog, manager: ServiceManager) {
  let state = 'the last configuration was refused, the one before is in force'
  manager.reloading()
  try {
    const { config, warnings } = loadConfig(file)
    const useLog = log.prepare(config.log)
    const { details } = await daemon.reload(config)
    useLog()
    for (const warning of warnings) log.warn(warning)
    log.info('configuration reloaded')
    keep(config, log)
    state = summary(config)
    return { warnings, details }
  } finally {
    manager.ready(state)
  }
}

/** For the next boot; see `pkctl close`. */
function keep({ stateDirectory, services }: Config, log: ConfiguredLog): void {
  try {
    keepServices(stateDirectory, services)
  } catch (error) {
    log.warn(`the services cannot be kept for the next boot: ${(error as Error).message}`)
  }
}

const summary = ({ queue, services, credentials }: Config) =>
  `knocks come by queue ${queue.number}; ${services.length} services, ${credentials.length} credentials`
