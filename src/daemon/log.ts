/** The daemon's log, through winston: lines of text for people, or a JSON object on each line for programs. */
import type { Writable } from 'node:stream'
import winston from 'winston'
import type { Config } from '../config/types.js'
import type { Log, LogFields, LogLevel } from '../controller/index.js'
import { LogFile, LogProgram, LogStderr } from './log-sinks.js'

/** RFC 5424 severities under the facility daemon (3). */
const priorities: Record<LogLevel, number> = { error: 27, warn: 28, info: 30, debug: 31 }

const textLine = winston.format.printf(({ level, message, timestamp }) => {
  return `${String(timestamp)} ${level.padEnd(5)} ${String(message)}`
})

const jsonLine = winston.format.printf(({ level, message, timestamp, ...fields }) =>
  JSON.stringify({ time: timestamp, level, message, ...fields }),
)

/** For syslog's own timestamp and level; logger(1) reads the priority in front. */
const syslogLine = winston.format.printf(
  ({ level, message }) => `<${priorities[level as LogLevel]}>${String(message).replaceAll('\n', ' ')}`,
)

export interface ConfiguredLog extends Log {
  /**
   * Opens what another configuration names, and opens a file again that logrotate has moved. Throws a UserError when it
   * cannot. `use` switches the log over to it; `drop` closes it instead.
   */
  prepare(config: Config['log']): { use(): void; drop(): void }
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
      return {
        use() {
          const old = logger
          logger = next
          old.end()
        },
        drop() {
          next.end()
        },
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
  const style = winston.format.combine(iso, asText ? textLine : jsonLine)
  const logger = winston.createLogger({ level, transports: [transport(to, style)] })
  logger.on('error', error => process.stderr.write(`pkctld: the log cannot be written: ${String(error)}\n`))
  return logger
}

function transport(to: Config['log']['to'], style: winston.Logform.Format): winston.transport {
  if (to === 'console') return ending(new LogStderr(), style)
  if (to !== 'syslog') return ending(new LogFile(to.file), style)
  const argv = ['logger', '--prio-prefix', '--tag', 'pkctld', `--id=${process.pid}`]
  return ending(new LogProgram(argv), syslogLine)
}

/** winston does not end a stream that it was given. */
function ending(stream: Writable, format: winston.Logform.Format): winston.transport {
  const transport = new winston.transports.Stream({ stream, format, eol: '\n' })
  transport.on('finish', () => stream.end())
  return transport
}
