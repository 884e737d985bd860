/**
 * The options of /etc/pkctl/pkctl.yaml: what each means, what it may hold, its default.
 *
 * A schema checks one value and turns it into what the daemon uses. What concerns two options of one entry, two
 * entries, or a second file is in load.ts, so that one wrong value does not hide such a problem.
 */
import * as z from 'zod'
import type { PortRange } from '../net/ports.js'
import { mergePorts, parsePort, parsePorts } from '../net/ports.js'
import { parsePrefix, withoutContained } from '../net/prefixes.js'
import { defaultSocket, defaultStateDirectory } from '../util/default-paths.js'
import { shown } from '../util/text.js'
import { ValueError } from '../util/value-error.js'
import { credentialKeys, credentialSchema } from './credentials/kinds.js'
import {
  absolutePath,
  duration,
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
import { triggerSchema } from './trigger-schema.js'
import { groupRequests, logFormats, logLevels } from './types.js'
import { kernelLogLevels, namePattern, parseAbsolutePath, parseMask, parsePacketRate, parseWindow } from './values.js'

const queue = mapping({
  number: whole('a queue number', 0, 65_535)
    .prefault(62)
    .describe('The NFQUEUE number that knocks are handed over through. Default: 62'),
  'max-length': whole('a number of packets', 1, 1_000_000)
    .prefault(16_384)
    .describe('How many packets may wait in the queue; knocks beyond it are refused. Default: 16384'),
})

const marks = mapping({
  mask: parsed(textOrNumber('a mask such as 0xffff0000'), parseMask)
    .prefault('0xffff0000')
    .describe(
      'The firewall mark bits that pkctl uses, 8 to 32 adjacent ones; others are left alone. Default: 0xffff0000',
    ),
})

// What a Map of V8 can hold is a little more.
const maxRemembered = 16_000_000

const limits = mapping({
  'per-source': whole('a number', 1, 1_000_000)
    .prefault(200)
    .describe('Knock-shaped packets a second that one source (IPv6: one /64) may surely have examined. Default: 200'),
  excess: whole('a number', 0, 10_000_000)
    .prefault(20_000)
    .describe(
      'Knock-shaped packets a second that all sources above per-source may have examined together, so that forged ' +
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

// A socket's address has 108 bytes, the last one a zero; the group's socket has .group at its end.
const maxSocketPath = 101

const socket = mapping({
  path: parsed(text('an absolute path'), checkSocketPath)
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

function checkSocketPath(value: string): string {
  const bytes = Buffer.byteLength(value)
  if (bytes > maxSocketPath) {
    throw new ValueError(
      `expected a path of at most ${maxSocketPath} bytes, for sockets have no longer ones, got ${bytes}`,
    )
  }
  return parseAbsolutePath(value)
}

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
    .describe('text, json, or auto: text to a terminal and JSON otherwise. Default: auto'),
})

function readLogTarget(value: string) {
  if (value === 'console' || value === 'syslog') return value
  if (!value.startsWith('/')) {
    throw new ValueError(`expected console, syslog or an absolute path, got ${shown(value)}`)
  }
  return { file: parseAbsolutePath(value) }
}

const serviceLog = mapping({
  prefix: parsed(text('text'), checkLogPrefix)
    .optional()
    .describe("What messages start with, at most 63 printable ASCII characters without \" and \\. Default: 'pk-NAME '"),
  level: oneOf(kernelLogLevels).prefault('info').describe('The level of the messages. Default: info'),
  limit: parsed(text('a rate such as 5/minute, or none'), parsePacketRate)
    .prefault('5/minute')
    .describe('How many messages there are at most, per second, minute, hour, day or week; or none. Default: 5/minute'),
  burst: whole('a number', 1, 1_000_000)
    .prefault(5)
    .describe('How many messages may come at once before the limit is kept to. Default: 5'),
})

// nft prints a prefix between quotes and has no escapes in them, so that a list of rules with these does not load again.
function checkLogPrefix(value: string): string {
  if (!/^[\x20-\x7e]{0,63}$/.test(value) || /["\\]/.test(value)) {
    throw new ValueError(`expected at most 63 printable ASCII characters without " and \\, got ${shown(value)}`)
  }
  return value
}

const portOrRange = parsed(textOrNumber('a port from 1 to 65535'), parsePorts)
const portList = listOf('ports', portOrRange).min(1, { error: () => 'expected at least one port' })
const prefixLength = (min: number, max: number) => whole('a prefix length', min, max).prefault(max)

export const serviceSchema = mapping({
  port: z
    .union([portOrRange, portList], { error: expected('a port, a range such as 6000-6010, or a list of these') })
    .transform((ports): PortRange[] => mergePorts(ports.flat()))
    .describe('The ports that are kept closed: one, a range such as 6000-6010, or a list of these.'),
  except: z
    .union([portOrRange, listOf('ports', portOrRange)], {
      error: expected('a port, a range such as 6000-6010, or a list of these'),
    })
    .transform((ports): PortRange[] => mergePorts(ports.flat()))
    .prefault([])
    .describe('Ports of a range that stay open: one, a range, or a list of these. Default: []'),
  protocol: oneOf(['tcp', 'udp', 'sctp', 'any'])
    .prefault('tcp')
    .describe('The transport protocol, or any for all of them. Default: tcp'),
  syn: flag()
    .optional()
    .describe('Judge only packets that start a TCP connection. Default: true for tcp; others cannot have it'),
  reject: oneOf(['drop', 'reset', 'icmp'])
    .optional()
    .describe('What others get: no answer, a TCP reset, or an ICMP message. Default: drop'),
  accept: flag().prefault(false).describe('Let everyone in and only watch; excludes reject. Default: false'),
  window: duration(parseWindow)
    .prefault(60)
    .describe('How long a grant lasts where the credential does not say; seconds, or 10m, 8h, 2d. Default: 60'),
  'fail-open': flag().prefault(false).describe('Let everyone in while the daemon does not run. Default: false'),
  'single-use': flag().prefault(false).describe('A grant is used up by the first connection. Default: false'),
  allow: listOf('addresses and prefixes', parsed(text('an address or a prefix such as 192.0.2.0/24'), parsePrefix))
    .transform(withoutContained)
    .prefault([])
    .describe('Addresses and prefixes that are always let in. Default: []'),
  prefix4: prefixLength(8, 32).describe('How many leading bits of an IPv4 source are granted together. Default: 32'),
  prefix6: prefixLength(16, 128).describe('How many leading bits of an IPv6 source are granted together. Default: 128'),
  hook: oneOf(['input', 'prerouting'])
    .prefault('input')
    .describe('Where the port is guarded; prerouting is before DNAT, for ports of containers. Default: input'),
  log: z
    .union([flag(), serviceLog], { error: expected('true, false or a mapping') })
    .prefault(false)
    .describe('Have the kernel log who is not let in; true, or how. Default: false'),
})

const sections = {
  queue: queue.prefault({}).describe('How packets come to the daemon.'),
  marks: marks.prefault({}).describe('The firewall marks by which verdicts are told to the kernel.'),
  limits: limits.prefault({}).describe('Bounds on what strangers can make the daemon do and remember.'),
  'open-ports': listOf('ports', parsed(textOrNumber('a port from 1 to 65535'), parsePort))
    .prefault([])
    .describe(
      'Ports that a source in the middle of a sequence may use without beginning anew; any other one, and it does. Default: []',
    ),
  'state-directory': absolutePath()
    .prefault(defaultStateDirectory)
    .describe('Where the daemon keeps what must survive a restart. Default: /var/lib/pkctl'),
  socket: socket.prefault({}).describe('The socket by which pkctl speaks to the daemon.'),
  log: log.prefault({}).describe("The daemon's own messages."),
  'allow-readable-keys': flag()
    .prefault(false)
    .describe('Only warn of key files that group or others can read. Default: false'),
}

/** Everything but services and credentials, which are checked one by one. */
export const settingsSchema = mapping(sections)

const configSchema = mapping({
  ...sections,
  services: z
    .record(z.string().regex(namePattern), serviceSchema)
    .nullable()
    .prefault({})
    .describe('The ports that are kept closed until someone knocks, by name.'),
  credentials: z
    .record(z.string().regex(namePattern), credentialSchema)
    .nullable()
    .prefault({})
    .describe('What knocks are checked against, by name.'),
})

/** Which keys there are at a place; `*` stands for a name. */
const shapes: Readonly<Record<string, object>> = {
  '': configSchema.shape,
  queue: queue.shape,
  marks: marks.shape,
  limits: limits.shape,
  socket: socket.shape,
  log: log.shape,
  'services.*': serviceSchema.shape,
  'services.*.log': serviceLog.shape,
  'credentials.*': credentialKeys,
  ...Object.fromEntries(['open', 'close', 'expiry'].map(on => [`credentials.*.on-${on}`, triggerSchema.shape])),
}

export const knownKeys = (place: string): string[] => Object.keys(shapes[place] ?? {})

/** The sections that hold other options; nothing after their colon is the same as an empty mapping. */
export const mappingSections: readonly string[] = [
  ...Object.keys(shapes).filter(key => key in configSchema.shape),
  'services',
  'credentials',
]

/** A JSON Schema for editors, which then complete and check the configuration while it is written. */
export function configJsonSchema(): object {
  const schema = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' })
  return { ...schema, title: 'pkctl configuration' }
}
