/** The options beside services and credentials: what each means, what it may hold, its default. */
import * as z from 'zod'
import { parsePort } from '../net/index.js'
import { defaultSocket, defaultStateDirectory, parseDuration, shown, unexpected, ValueError } from '../util/index.js'
import { fleet } from './fleet-schema.js'
import { metrics } from './metrics-schema.js'
import { notifySchema } from './notify-schema.js'
import {
  absolutePath,
  expected,
  flag,
  listOf,
  mapping,
  oneOf,
  parsed,
  text,
  textOrNumber,
  whole,
} from './schema-parts.js'
import { groupRequests, logFormats, logLevels } from './types.js'
import { namePattern, parseAbsolutePath, parseMask, parseSocketPath } from './values.js'

const queue = mapping({
  number: whole('a queue number', 0, 65_535)
    .prefault(62)
    .describe('The number of the NFQUEUE that passes knocks to the daemon. Default: 62'),
  'max-length': whole('a number of packets', 1, 1_000_000)
    .prefault(16_384)
    .describe('How many packets can wait in the queue; further ones continue without an answer. Default: 16384'),
})

const marks = mapping({
  mask: parsed(textOrNumber('a mask such as 0xffff0000'), parseMask)
    .prefault('0x000000ff')
    .describe(
      'The firewall mark bits that pkctl uses, 8 to 32 adjacent ones; others are left alone. With more than 31 ' +
        'credentials, the default is 0xffff0000. Default: 0x000000ff',
    ),
})

// What a Map of V8 can hold is a little more.
const maxRemembered = 16_000_000

const limits = mapping({
  'per-source': whole('a number', 1, 1_000_000)
    .prefault(200)
    .describe('Knock-shaped packets a second that one source (IPv6: one /64) can always have checked. Default: 200'),
  'per-network': whole('a number', 1, 10_000_000)
    .prefault(10_000)
    .describe(
      'Knock-shaped packets a second that the sources of one network (IPv4: one /16; IPv6: one /32) can always have ' +
        'checked together, so that packets forged in some networks leave room for others. Default: 10000',
    ),
  excess: whole('a number', 0, 10_000_000)
    .prefault(20_000)
    .describe(
      'Knock-shaped packets a second that all above per-source or per-network may have examined together, so that forged ' +
        'packets do not use up the share of the one in whose name they come; more are dropped. Default: 20000',
    ),
  total: whole('a number', 0, 10_000_000)
    .prefault(0)
    .describe('Knock-shaped packets a second that are examined in all; 0 means no limit. Default: 0'),
  'replay-entries': whole('a number', 1000, maxRemembered)
    .prefault(2_000_000)
    .describe('How many knocks are remembered per credential at most, to refuse repeated ones. Default: 2000000'),
  'any-clock-entries': whole('a number', 16, maxRemembered)
    .prefault(10_000)
    .describe('The same for credentials with skew -1. Default: 10000'),
  'triggers-at-once': whole('a number', 1, 1000)
    .prefault(4)
    .describe('How many commands of triggers may run at the same time. Default: 4'),
  'triggers-waiting': whole('a number', 1, 100_000)
    .prefault(1000)
    .describe('How many of them may wait for their turn; more are not run, and the log says so. Default: 1000'),
})

/** The group's socket has it at its end. */
const groupSuffix = '.group'

const socket = mapping({
  path: parsed(text('an absolute path'), value => parseSocketPath(value, groupSuffix.length))
    .prefault(defaultSocket)
    .describe('Where the daemon listens for pkctl. Default: /run/pkctl/pkctl.sock'),
  group: parsed(z.union([z.string(), z.number()], { error: expected('the name of a group') }), checkGroup)
    .nullable()
    .prefault(null)
    .describe('The group that has a socket of its own, PATH.group, besides root; null means root only. Default: null'),
  'group-may': listOf('requests', oneOf(groupRequests))
    .prefault(['status', 'list'])
    .describe('What the group may ask for: status, list, add, delete, reload. Default: ["status","list"]'),
})

function checkGroup(value: string | number): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/.test(String(value))) {
    throw new ValueError(`expected the name of a group, got ${shown(value)}`)
  }
  return String(value)
}

const log = mapping({
  level: oneOf(logLevels).prefault('info').describe('The least important messages that are logged. Default: info'),
  to: parsed(text('console, syslog or an absolute path'), readLogTarget)
    .prefault('console')
    .describe('Where messages go: console (standard error), syslog, or the absolute path of a file. Default: console'),
  format: oneOf(logFormats)
    .prefault('auto')
    .describe('text, json, or auto: text to a terminal or the journal, and JSON otherwise. Default: auto'),
  history: whole('a number of bytes', 0, 1_000_000_000)
    .prefault(2_000_000)
    .describe(
      'How many bytes of the state directory `pkctl log` may have for knocks with a key and for changes, and as many ' +
        'for knocks without; 0 means none. Default: 2000000',
    ),
})

function readLogTarget(value: string) {
  if (value === 'console' || value === 'syslog') return value
  if (!value.startsWith('/')) {
    throw new ValueError(`expected console, syslog or an absolute path, got ${shown(value)}`)
  }
  return { file: parseAbsolutePath(value) }
}

function readSelfTest(value: string | number): number | null {
  if (value === 'off') return null
  const seconds = parseDuration(value)
  if (seconds < 1 || seconds > 3600) throw unexpected('off, or a time from 1s to 1h', value)
  return seconds
}

/** Those with options below them, by name. */
export const mappings = { queue, marks, limits, socket, log, metrics, fleet } as const

export const sections = {
  queue: queue.prefault({}).describe('How packets come to the daemon.'),
  marks: marks.prefault({}).describe('The firewall marks that carry verdicts to the kernel.'),
  limits: limits.prefault({}).describe('Bounds on what unauthenticated senders can make the daemon do and remember.'),
  'open-ports': listOf('ports', parsed(textOrNumber('a port from 1 to 65535'), parsePort))
    .prefault([])
    .describe(
      'Ports that a source in the middle of a sequence may use. After any other port, the source must start again. Default: []',
    ),
  'state-directory': absolutePath()
    .prefault(defaultStateDirectory)
    .describe('Where the daemon keeps what must survive a restart. Default: /var/lib/pkctl'),
  socket: socket.prefault({}).describe('The socket by which pkctl speaks to the daemon.'),
  log: log.prefault({}).describe("The daemon's own messages."),
  metrics: metrics.prefault({}).describe('What the daemon tells Prometheus. Off unless listen or textfile is given.'),
  fleet: fleet.prefault({}).describe('The servers with which this one shares grants. Off unless url is given.'),
  'self-test': parsed(textOrNumber('off, seconds, or a duration such as 1m'), readSelfTest)
    .prefault(60)
    .describe(
      'How often the daemon sends a knock to itself, which opens nothing, to see whether knocks arrive: from 1s to ' +
        '1h, or off. Default: 60',
    ),
  notify: z
    .record(z.string().regex(namePattern), notifySchema)
    .nullable()
    .prefault({})
    .describe('Where the daemon reports events, by name: a command or a webhook each.'),
  'allow-readable-keys': flag()
    .prefault(false)
    .describe('Only warn of key files that group or others can read. Default: false'),
}

export const settingsSchema = mapping(sections)
