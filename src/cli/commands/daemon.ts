import { Command } from 'commander'
import type { Server } from 'node:net'
import { ConfigError } from '../../controller/config/errors.js'
import { loadConfig } from '../../controller/config/load.js'
import { Daemon } from '../../controller/daemon.js'
import { Marks } from '../../nft/queueing.js'
import { queueStatistics } from '../../queue/statistics.js'
import { defaultConfig } from '../change.js'
import { realFirewall } from '../firewall.js'
import type { ConfiguredLog } from '../log.js'
import { createLog } from '../log.js'
import { startPacketThread } from '../packetthread.js'
import type { Answer, Request } from '../socket.js'
import { listen } from '../socket.js'
import type { Terminal } from '../terminal.js'
import { version } from '../version.js'

const daemonHelp = `
Stays in the foreground. SIGHUP reloads the configuration; SIGTERM and SIGINT end it: protected ports stay closed, and
running grants stay valid until they end.`

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
    marks: new Marks(config.marks.mask),
    startPath: startPacketThread,
    queueStatistics,
    now: Date.now,
    onFatal: fail,
  })
  const handle = requestHandler(daemon, file, log)
  // The socket first: it tells a second daemon that there is one already, before anything is touched.
  const server = await listen(config.socket, handle)
  try {
    await daemon.start()
    process.on('SIGHUP', () => void handle('reload'))
    await Promise.race([asked, failed])
    await daemon.stop()
  } finally {
    await close(server)
    await log.close()
  }
}

function requestHandler(daemon: Daemon, file: string, log: ConfiguredLog): (request: Request) => Promise<Answer> {
  return async request => {
    try {
      switch (request) {
        case 'status':
          return { ok: true, result: await daemon.status() }
        case 'refresh':
          return { ok: true, result: (await daemon.refresh()).changed }
        case 'reload':
          return { ok: true, result: await reload(daemon, file, log) }
      }
    } catch (error) {
      const { message } = error as Error
      if (request === 'reload') log.error(`the configuration is refused, the old one stays in force: ${message}`)
      const hint = error instanceof ConfigError ? 'the old configuration stays in force' : undefined
      return { ok: false, error: message, ...(hint === undefined ? {} : { hint }) }
    }
  }
}

async function reload(daemon: Daemon, file: string, log: ConfiguredLog) {
  const { config, warnings } = loadConfig(file)
  const { details } = await daemon.reload(config)
  log.configure(config.log)
  for (const warning of warnings) log.warn(warning)
  log.info('configuration reloaded')
  return { warnings, details }
}

const close = (server: Server) =>
  new Promise<void>(resolve => {
    server.close(() => {
      resolve()
    })
  })
