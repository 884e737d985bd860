/**
 * Where the client knocks by name: `~/.config/pkctl/hosts.yaml`, a mapping from names to places. A place knocks in one
 * way: by PKD, at fixed ports, or at ports that a secret and the hour give.
 */
import * as fs from 'node:fs'
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import * as z from 'zod'
import type { ConfigPath } from '../config/index.js'
import {
  credentialKeys,
  expectedSecret,
  formatPath,
  isTooDeep,
  oneOf,
  parsed,
  rotatingKind as rotating,
  secretOptions,
  secretPlaces,
  sequenceKind as sequence,
  text,
  yamlProblems,
} from '../config/index.js'
import { parsePort } from '../net/index.js'
import { nearest, quote, UserError } from '../util/index.js'
import { parseMilliseconds } from './send-sequence.js'
import { hostsFile } from './user-files.js'

const port = parsed(text('a port from 1 to 65535'), parsePort)
const filled = (what: string) => text(what).min(1, { error: () => `expected ${what}, got empty text` })

/** What every place may have. */
const common = {
  host: filled('a name or an address').describe('Name or address of the server.'),
  family: oneOf(['4', '6']).optional().describe('Knock only over this version of IP.'),
  connect: port.optional().describe('TCP port to try after the knock, as --connect does.'),
  close: filled('the name of a host entry').optional().describe('The host entry to knock at for closing.'),
  delay: parsed(text('milliseconds'), parseMilliseconds)
    .optional()
    .describe('Milliseconds between the knocks of a sequence. Default: 20.'),
}

const { digest, range, hour } = rotating.schema.shape

/** The ways of knocking, each with the options that belong to it alone. */
const ways = {
  pkd: {
    port: port.optional().describe('UDP port to knock on. Default: a random one.'),
    tag: text('text').optional().describe('Tag of the credential. Default: PKD0.'),
    key: z
      .string({ error: expectedSecret('text') })
      .optional()
      .describe('The key itself.'),
    'key-file': filled('a path').optional().describe('A file whose first line is the key; ~ is the home directory.'),
  },
  sequence: {
    sequence: sequence.schema.shape.sequence.describe('Knocks at these ports, in their order: 7000, 8000:udp.'),
    'close-sequence': sequence.schema.shape.sequence.optional().describe('The same, for closing.'),
  },
  // What is the daemon's business alone stays there: grace and timeout.
  rotating: {
    'open-secret': rotating.schema.shape['open-secret'],
    'open-secret-file': rotating.schema.shape['open-secret-file'],
    'close-secret': rotating.schema.shape['close-secret'],
    'close-secret-file': rotating.schema.shape['close-secret-file'],
    digest,
    range,
    hour,
  },
}

const schemas = {
  pkd: z.object({ ...common, ...ways.pkd }).transform(place => ({ ...place, type: 'pkd' as const })),
  sequence: z.object({ ...common, ...ways.sequence }).transform(place => ({ ...place, type: 'sequence' as const })),
  rotating: z.object({ ...common, ...ways.rotating }).transform(place => ({ ...place, type: 'rotating' as const })),
}

type WayType = keyof typeof ways
const wayTypes = Object.keys(ways) as WayType[]
const knownKeys = [common, ...Object.values(ways)].flatMap(shape => Object.keys(shape))

/** Of these, a place has one at most. */
const exclusive = [
  ['key', 'key-file'],
  ['open-secret', 'open-secret-file'],
  ['close-secret', 'close-secret-file'],
  ['close', 'close-sequence'],
  ['close', 'close-secret'],
  ['close', 'close-secret-file'],
] as const

type Entry<T extends WayType> = Omit<z.output<(typeof schemas)[T]>, 'close'>
interface Closable {
  /** The other place that is knocked at for closing. */
  readonly close?: HostEntry
}
export type PkdHostEntry = Entry<'pkd'> & Closable
export type SequenceHostEntry = Entry<'sequence'> & Closable
export type RotatingHostEntry = Entry<'rotating'> & Closable
export type HostEntry = PkdHostEntry | SequenceHostEntry | RotatingHostEntry

/** The place of that name, or undefined when the file has none or is not there. Messages never show a secret. */
export function findHostEntry(name: string, file = hostsFile()): HostEntry | undefined {
  const { places, hides } = readHostsFile(file)
  const entry = places.get(name)
  if (entry === undefined) return undefined
  const { close, ...place } = readHostEntry(name, entry, file, hides)
  if (close === undefined) return place
  const other = places.get(close)
  if (other === undefined || close === name) {
    const why = close === name ? 'a host entry cannot close itself' : `there is no host entry ${quote(close)}`
    throw new UserError(`${file}: ${name}.close: ${why}`, 'use the name of another host entry in the file')
  }
  // What closes that one is of no interest here.
  const { close: _, ...closing } = readHostEntry(close, other, file, hides)
  return { ...place, close: closing }
}

interface HostsFile {
  readonly places: ReadonlyMap<string, unknown>
  /** Whether this key of a place can be a part of a secret without quotes. */
  readonly hides: (name: string, key: string) => boolean
}

const maxLength = 4 * 1024 * 1024
const noHosts: HostsFile = { places: new Map(), hides: () => false }

function readHostsFile(file: string): HostsFile {
  let content: string
  try {
    content = fs.readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return noHosts
    throw new UserError(`${file} cannot be read: ${(error as Error).message}`)
  }
  if (content.length > maxLength) throw new UserError(`${file} is larger than ${maxLength / 1024 / 1024} MiB`)
  if (isTooDeep(content)) throw new UserError(`${file} is nested too deeply`)
  const lines = new LineCounter()
  // Everything as it is written: a tag or key of digits must not become a number, and lose its leading zeros.
  const document = parsedDocument(content, lines, file)
  const places = secretPlaces(content, secretOptions, [...knownKeys, ...Object.keys(credentialKeys)])
  const isSecretAt = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return places(line, col)
  }
  const [problem] = yamlProblems(document, isSecretAt)
  if (problem) {
    const { line, col } = lines.linePos(problem.offset)
    throw new UserError(`${file}:${line}:${col}: is not YAML: ${problem.message}`, problem.hint)
  }
  if (document.errors.length > 0) throw new UserError(`${file}: a key is given twice`)
  const value = valueOf(document, file)
  // An empty file is empty text there.
  if (value === '' || value === null) return noHosts
  if (!isMapping(value)) throw new UserError(`${file}: expected names and their host entries`)
  return {
    places: new Map(Object.entries(value)),
    hides(name, key) {
      const entry: unknown = document.get(name, true)
      const pair = isMap(entry) ? entry.items.find(each => isScalar(each.key) && each.key.value === key) : undefined
      return isScalar(pair?.key) && isSecretAt(pair.key.range?.[0] ?? 0)
    },
  }
}

function parsedDocument(content: string, lines: LineCounter, file: string) {
  try {
    return parseDocument(content, {
      schema: 'failsafe',
      lineCounter: lines,
      prettyErrors: false,
      logLevel: 'error',
    })
  } catch {
    throw new UserError(`${file} is not YAML that can be used`)
  }
}

function valueOf(document: { toJS(): unknown }, file: string): unknown {
  try {
    return document.toJS()
  } catch {
    throw new UserError(`${file} is not YAML that can be used: its aliases lead to too many values`)
  }
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function readHostEntry(
  name: string,
  entry: unknown,
  file: string,
  hides: HostsFile['hides'],
): z.output<(typeof schemas)[WayType]> {
  const fail = (message: string, hint?: string, at: ConfigPath = []): never => {
    throw new UserError(`${file}: ${formatPath([name, ...at])}${message}`, hint)
  }
  if (!isMapping(entry)) return fail('expected a mapping, with a host')
  for (const key of Object.keys(entry).filter(each => !knownKeys.includes(each))) {
    if (hides(name, key)) return fail('unknown key (not shown: it can be part of a secret)')
    const meant = nearest(key, knownKeys)
    return fail(`unknown key ${quote(key)}`, meant === undefined ? undefined : `did you mean '${meant}'?`)
  }
  const type = wayOf(entry, fail)
  for (const [one, other] of exclusive) {
    if (one in entry && other in entry) return fail(`'${one}' and '${other}' are both given; one is needed`)
  }
  if (type === 'rotating' && !('open-secret' in entry) && !('open-secret-file' in entry)) {
    return fail("'open-secret' or 'open-secret-file' is missing")
  }
  const { data, error } = schemas[type].safeParse(entry)
  if (data) return data
  const { path, message, ...issue } = error.issues[0] as z.core.$ZodIssue
  const at = path as ConfigPath
  const key = String(at[0])
  if (!(key in entry)) return fail(`'${key}' is missing`)
  const hint: unknown = issue.code === 'custom' ? issue.params?.['hint'] : undefined
  return fail(message, typeof hint === 'string' ? hint : undefined, at)
}

/** How the place knocks; one that has a host alone, by PKD. */
function wayOf(entry: object, fail: (message: string, hint: string) => never): WayType {
  const given = wayTypes.flatMap(type => {
    const key = Object.keys(ways[type]).find(each => each in entry)
    return key === undefined ? [] : [{ type, key }]
  })
  const [first, second] = given
  if (first && second) {
    return fail(
      `'${first.key}' and '${second.key}' do not go together`,
      'a host entry knocks by PKD, a fixed sequence or a rotating one; give each its own host entry',
    )
  }
  return first?.type ?? 'pkd'
}
