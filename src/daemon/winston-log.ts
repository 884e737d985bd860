/** The daemon's log, through winston: lines of text for people, or a JSON object on each line for programs. */
import winston from 'winston'
import type { Config } from '../config/types.js'
import type { Log, LogFields, LogLevel } from '../controller/index.js'
import { isJournal, UserError, withPriority } from '../util/index.js'
import { stderrWarning } from './log-complaint.js'
import { LogProgram } from './log-program.js'
import type { LogSink } from './log-sinks.js'
import { LogFile, LogStderr } from './log-sinks.js'

/** RFC 5424 severities under the facility daemon (3). */
const priorities: Record<LogLevel, number> = { error: 27, warn: 28, info: 30, debug: 31 }

const withSyslogPriority = (level: LogLevel, text: string) => `<${priorities[level]}>${text}`

const textLine = winston.format.printf(({ level, message, timestamp }) => {
  return `${String(timestamp)} ${level.padEnd(5)} ${String(message)}`
})

const jsonLine = winston.format.printf(({ level, message, timestamp, ...fields }) =>
  JSON.stringify({ time: timestamp, level, message, ...fields }),
)

/** For syslog's own timestamp and level; logger(1) reads the priority in front. */
const syslogLine = winston.format.printf(({ level, message }) =>
  withSyslogPriority(level as LogLevel, String(message).replaceAll('\n', ' ')),
)

/** For the journal, which has a timestamp of its own. */
const journalLine = winston.format.printf(({ level, message }) => withPriority(level as LogLevel, String(message)))

/** The journal and logger(1) take the priority of JSON from the same place. */
const prioritised = (priority: (level: LogLevel, text: string) => string) =>
  winston.format((info, _) => {
    const text = Symbol.for('message')
    info[text] = priority(info.level as LogLevel, String(info[text]))
    return info
  })()

type LogOptions = Omit<Config['log'], 'history'>

export interface ConfiguredLog extends Log {
  /**
   * Opens what another configuration names, and opens a file again that logrotate has moved. `use` switches the log over
   * to it; `drop` closes it instead. `warnings` say what is used in its place.
   */
  prepare(config: LogOptions): { readonly warnings: readonly string[]; use(): void; drop(): void }
  /** How many lines could not be written since the start. */
  lostLines(): number
  /** Resolves when everything is written. */
  close(): Promise<void>
}

/** A file that cannot be opened is not used: the log goes to stderr, and its first line says so. */
export function createLog(config: LogOptions): ConfiguredLog {
  const first = build(config)
  let { logger, sink } = first
  let lostBefore = 0
  const write = (level: LogLevel) => (message: string, fields?: LogFields) => {
    logger.log({ level, message, ...fields })
  }
  for (const warning of first.warnings) write('warn')(warning)
  return {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    prepare(config) {
      const next = build(config)
      return {
        warnings: next.warnings,
        use() {
          const old = logger
          lostBefore += sink.lostLines
          ;({ logger, sink } = next)
          old.end()
        },
        drop() {
          next.logger.end()
        },
      }
    },
    lostLines: () => lostBefore + sink.lostLines,
    close: () =>
      new Promise(resolve => {
        logger.once('finish', () => {
          resolve()
        })
        logger.end()
      }),
  }
}

interface Built {
  readonly logger: winston.Logger
  readonly sink: LogSink
  readonly warnings: readonly string[]
}

function build({ level, to, format }: LogOptions): Built {
  const { stream, isSyslog = false, warnings = [] } = open(to)
  const toStderr = stream instanceof LogStderr
  const toJournal = toStderr && isJournal(process.stderr.fd)
  const asText = format === 'text' || (format === 'auto' && toStderr && (toJournal || process.stderr.isTTY))
  const iso = winston.format.timestamp()
  const forJournal = asText ? journalLine : winston.format.combine(iso, jsonLine, prioritised(withPriority))
  const forSyslog =
    format === 'json' ? winston.format.combine(iso, jsonLine, prioritised(withSyslogPriority)) : syslogLine
  const others = winston.format.combine(iso, asText ? textLine : jsonLine)
  const style = isSyslog ? forSyslog : toJournal ? forJournal : others
  const logger = winston.createLogger({ level, transports: [ending(stream, style)] })
  logger.on('error', error =>
    process.stderr.write(stderrWarning(`pkctld: the log cannot be written: ${String(error)}\n`)),
  )
  return { logger, sink: stream, warnings }
}

interface OpenLog {
  readonly stream: LogSink
  readonly isSyslog?: boolean
  readonly warnings?: readonly string[]
}

function open(to: Config['log']['to']): OpenLog {
  if (to === 'console') return { stream: new LogStderr() }
  if (to === 'syslog') {
    const argv = ['logger', '--prio-prefix', '--tag', 'pkctld', `--id=${process.pid}`]
    return { stream: new LogProgram(argv, undefined, line => withSyslogPriority('warn', line)), isSyslog: true }
  }
  try {
    return { stream: new LogFile(to.file) }
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    // A daemon that did not start for its log would leave ports closed that no knock opens.
    return { stream: new LogStderr(), warnings: [`${error.message}; messages go to the standard error instead`] }
  }
}

/** winston does not end a stream that it was given. */
function ending(stream: LogSink, format: winston.Logform.Format): winston.transport {
  const transport = new winston.transports.Stream({ stream, format, eol: '\n' })
  transport.on('finish', () => stream.end())
  return transport
}
