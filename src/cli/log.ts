/** The daemon's log, through winston: a sentence a line for people, one JSON object a line for machines. */
import { spawn } from 'node:child_process'
import winston from 'winston'
import type { Config } from '../controller/config/types.js'
import type { Log, LogFields, LogLevel } from '../controller/log.js'

/** RFC 5424 severities under the facility daemon (3). */
const priorities: Record<LogLevel, number> = { error: 27, warn: 28, info: 30, debug: 31 }

const sentence = winston.format.printf(({ level, message, timestamp }) => {
  return `${String(timestamp)} ${level.padEnd(5)} ${String(message)}`
})

const object = winston.format.printf(({ level, message, timestamp, ...fields }) =>
  JSON.stringify({ time: timestamp, level, message, ...fields }),
)

/** For syslog's own timestamp and level; logger(1) reads the priority in front. */
const syslogLine = winston.format.printf(
  ({ level, message }) => `<${priorities[level as LogLevel]}>${String(message).replaceAll('\n', ' ')}`,
)

export interface ConfiguredLog extends Log {
  /**
   * Opens what another configuration names, also anew a file that logrotate has moved away, and throws when it cannot;
   * the log goes over to it when the result is called.
   */
  prepare(config: Config['log']): () => void
  /** Resolves when everything is written. */
  close(): Promise<void>
}

export function createLog(config: Config['log']): ConfiguredLog {
  let logger = build(config)
  const write = (level: LogLevel) => (message: string, fields?: LogFields) => {
    logger.log({ level, message, ...fields })
  }
  return {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    prepare(config) {
      const next = build(config)
      return () => {
        const old = logger
        logger = next
        old.end()
      }
    },
    close: () =>
      new Promise(resolve => {
        logger.once('finish', () => {
          resolve()
        })
        logger.end()
      }),
  }
}

function build({ level, to, format }: Config['log']): winston.Logger {
  const asText = format === 'text' || (format === 'auto' && to === 'console' && process.stderr.isTTY)
  const iso = winston.format.timestamp()
  const style = winston.format.combine(iso, asText ? sentence : object)
  const logger = winston.createLogger({ level, transports: [transport(to, style)] })
  logger.on('error', error => process.stderr.write(`pkctld: the log cannot be written: ${String(error)}\n`))
  return logger
}

function transport(to: Config['log']['to'], style: winston.Logform.Format): winston.transport {
  if (to === 'console') return new winston.transports.Stream({ stream: process.stderr, format: style })
  if (to !== 'syslog') return new winston.transports.File({ filename: to.file, format: style })
  const args = ['--prio-prefix', '--tag', 'pkctld', `--id=${process.pid}`]
  const child = spawn('logger', args, { stdio: ['pipe', 'ignore', 'inherit'] })
  child.on('error', error => process.stderr.write(`pkctld: syslog cannot be reached: ${error.message}\n`))
  child.stdin.on('error', () => undefined)
  const syslog = new winston.transports.Stream({ stream: child.stdin, format: syslogLine })
  // logger(1) ends with its input, and we with it.
  syslog.on('finish', () => child.stdin.end())
  return syslog
}
