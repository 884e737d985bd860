/**
 * One host entry of `hosts.yaml`: its options, and what they must be. An entry knocks in one way: by PKD, by pkctl's own
 * knock with a symmetric key or signed with an SSH key, at fixed ports, or at ports that a secret and the hour give.
 */
import * as z from 'zod'
import type { ConfigPath } from '../config/index.js'
import {
  expectedSecret,
  formatPath,
  isMapping,
  oneOf,
  parsed,
  rotatingKind as rotating,
  sequenceKind as sequence,
  text,
} from '../config/index.js'
import { parsePort } from '../net/index.js'
import { parseOther, parsePrefixLength } from './wishes.js'
import { nearest, quote, UserError } from '../util/index.js'
import { parseMilliseconds } from './send-sequence.js'

const port = parsed(text('a port from 1 to 65535'), parsePort)
const filled = (what: string) => text(what).min(1, { error: () => `expected ${what}, got empty text` })

/** What every host entry may have. */
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

/** Of knocks that are one packet. */
const packetOptions = { port: port.optional().describe('UDP port to knock on. Default: a random one.') }

/** Of those that are made with a key which the server has as well. */
const keyOptions = {
  ...packetOptions,
  key: z
    .string({ error: expectedSecret('text') })
    .optional()
    .describe('The key itself.'),
  'key-file': filled('a path').optional().describe('A file whose first line is the key; ~ is the home directory.'),
}

/** Of pkctl's own knock. */
const identityOptions = {
  identity: text('an identity such as pk1:…').describe('Identity of the server, for its own knock.'),
}

/** The ways to knock, each with the options that belong to it alone. */
const kinds = {
  pkd: {
    tag: text('text').optional().describe('Tag of the credential. Default: PKD0.'),
    ...keyOptions,
  },
  symmetric: { ...identityOptions, ...keyOptions },
  ssh: {
    ...identityOptions,
    ...packetOptions,
    'ssh-key': filled('a path')
      .optional()
      .describe('The SSH key that signs the knock; the file can be its public half. Default: the one that ssh uses.'),
    certificate: filled('a path')
      .optional()
      .describe('The certificate of that key. Default: the one beside the key, or the one that ssh uses.'),
    'identity-agent': filled('a path')
      .optional()
      .describe("Socket of the ssh-agent, or none; as ssh's IdentityAgent. Default: what ssh uses."),
    prefix: parsed(text('a number of bits'), parsePrefixLength)
      .optional()
      .describe('Ask for access for the prefix of your address, as --prefix does.'),
    also: parsed(text('an address'), parseOther)
      .optional()
      .describe('Ask for access for this address as well, as --also does.'),
  },
  sequence: {
    sequence: sequence.schema.shape.sequence.describe('Knocks at these ports, in their order: 7000, 8000:udp.'),
    'close-sequence': sequence.schema.shape.sequence.optional().describe('The same, for closing.'),
  },
  // Grace and timeout are for the daemon alone.
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
  pkd: z.object({ ...common, ...kinds.pkd }).transform(entry => ({ ...entry, type: 'pkd' as const })),
  symmetric: z.object({ ...common, ...kinds.symmetric }).transform(entry => ({ ...entry, type: 'symmetric' as const })),
  ssh: z.object({ ...common, ...kinds.ssh }).transform(entry => ({ ...entry, type: 'ssh' as const })),
  sequence: z.object({ ...common, ...kinds.sequence }).transform(entry => ({ ...entry, type: 'sequence' as const })),
  rotating: z.object({ ...common, ...kinds.rotating }).transform(entry => ({ ...entry, type: 'rotating' as const })),
}

type KnockKind = keyof typeof kinds
const knockKinds = Object.keys(kinds) as KnockKind[]
export const hostEntryKeys = [common, ...Object.values(kinds)].flatMap(shape => Object.keys(shape))

/** The options of entries with their descriptions, for the manual: those of all entries, and those of each way to knock. */
export const hostEntryOptions = (): Readonly<Record<'common' | KnockKind, Readonly<Record<string, string>>>> => {
  const described = (shape: Readonly<Record<string, z.ZodType>>) =>
    Object.fromEntries(Object.entries(shape).map(([name, { description = '' }]) => [name, description]))
  const [pkd, symmetric, ssh] = [described(kinds.pkd), described(kinds.symmetric), described(kinds.ssh)]
  const [sequence, rotating] = [described(kinds.sequence), described(kinds.rotating)]
  return { common: described(common), pkd, symmetric, ssh, sequence, rotating }
}

/** Of these, an entry has one at most. */
const exclusive = [
  ['key', 'key-file'],
  ['open-secret', 'open-secret-file'],
  ['close-secret', 'close-secret-file'],
  ['close', 'close-sequence'],
  ['close', 'close-secret'],
  ['close', 'close-secret-file'],
] as const

type OptionsOf<T extends KnockKind> = Omit<z.output<(typeof schemas)[T]>, 'close'>
interface Closable {
  /** The other entry, whose knock closes. */
  readonly close?: HostEntry
}
export type PkdHostEntry = OptionsOf<'pkd'> & Closable
export type SymmetricHostEntry = OptionsOf<'symmetric'> & Closable
export type SshHostEntry = OptionsOf<'ssh'> & Closable
type SequenceHostEntry = OptionsOf<'sequence'> & Closable
export type RotatingHostEntry = OptionsOf<'rotating'> & Closable
export type HostEntry = PkdHostEntry | SymmetricHostEntry | SshHostEntry | SequenceHostEntry | RotatingHostEntry

/**
 * Checks the entry of this name in a file. `hides` says whether a key of it can be a part of a secret without quotes. Throws
 * a UserError.
 */
export function readHostEntry(
  name: string,
  entry: unknown,
  file: string,
  hides: (name: string, key: string) => boolean,
): z.output<(typeof schemas)[KnockKind]> {
  const fail = (message: string, hint?: string, at: ConfigPath = []): never => {
    throw new UserError(`${file}: ${formatPath([name, ...at])}${message}`, hint)
  }
  if (!isMapping(entry)) return fail('expected a mapping, with a host')
  for (const key of Object.keys(entry).filter(each => !hostEntryKeys.includes(each))) {
    if (hides(name, key)) return fail('unknown key (not shown: it can be part of a secret)')
    const meant = nearest(key, hostEntryKeys)
    return fail(`unknown key ${quote(key)}`, meant === undefined ? undefined : `did you mean '${meant}'?`)
  }
  const type = kindOfEntry(entry, fail)
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

/** Options that several ways have. */
const shared = Object.keys({ ...keyOptions, ...identityOptions })

/** How the entry knocks; one that has a host alone, by PKD. */
function kindOfEntry(entry: object, fail: (message: string, hint: string) => never): KnockKind {
  // The options that several ways have tell the way together.
  const hasKey = 'key' in entry || 'key-file' in entry
  const keyed = 'identity' in entry ? (hasKey ? 'symmetric' : 'ssh') : 'pkd'
  const given = knockKinds.flatMap(type => {
    const keys = Object.keys(kinds[type]).filter(each => each in entry)
    const own = keys.find(each => !shared.includes(each))
    const key = own ?? (type === keyed ? keys[0] : undefined)
    return key === undefined ? [] : [{ type, key }]
  })
  const [first, second] = given
  if (first && second) {
    // Both have an identity; it is the key that does not go with an SSH key.
    if (first.type === 'symmetric' && second.type === 'ssh') first.key = 'key' in entry ? 'key' : 'key-file'
    return fail(
      `'${first.key}' and '${second.key}' do not go together`,
      'a host entry knocks by PKD, with an identity and a key or an SSH key, by a fixed sequence or a rotating one; give each its own host entry',
    )
  }
  return first?.type ?? 'pkd'
}
