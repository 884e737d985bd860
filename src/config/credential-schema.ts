/** The kinds of credentials, each with its options. */
import * as z from 'zod'
import { parseKey, parseTag } from '../knock/pkd.js'
import { digests, hourKinds } from '../knock/rotating.js'
import type { FlagRule, Step } from '../knock/sequence.js'
import { maxSteps, parseFlags, parseStep } from '../knock/sequence.js'
import { parseAddress } from '../net/addresses.js'
import type { PortRange } from '../net/ports.js'
import { parsePort, parsePorts } from '../net/ports.js'
import { parsePrefix, withoutContained } from '../net/prefixes.js'
import { parseDuration } from '../util/duration.js'
import { shown } from '../util/text.js'
import { ValueError } from '../util/value-error.js'
import {
  duration,
  expected,
  expectedSecret,
  flag,
  listOf,
  mapping,
  name,
  oneOf,
  parsed,
  text,
  textOrNumber,
} from './schema-parts.js'
import { triggerSchema } from './trigger-schema.js'
import { parseRate, parseSkew, parseWindow } from './values.js'

const rate = parsed(text('a rate such as 5/10s or 20/minute, or none'), parseRate)

/** What every credential has. */
const whatItOpens = {
  opens: listOf('names of services', name('the name of a service'))
    .optional()
    .describe('The services that a knock opens; can be left out where a trigger is all that is wanted.'),
  closes: listOf('names of services', name('the name of a service'))
    .optional()
    .describe('The services that a knock closes again for its source, instead of opening any.'),
  window: duration(readWindow)
    .optional()
    .describe("How long a grant lasts; seconds, or 10m, 8h, 2d, or unlimited. Default: the service's own window"),
  'on-open': triggerSchema.optional().describe('A command to run after a knock that is right.'),
  'on-close': triggerSchema.optional().describe('A command to run after a knock that takes a grant back.'),
  'on-expiry': triggerSchema.optional().describe('A command to run when the window has passed.'),
  enabled: flag().prefault(true).describe('Whether knocks with this credential count. Default: true'),
}

function readWindow(value: string | number): number {
  return value === 'unlimited' ? Infinity : parseWindow(value)
}

const pkdSchema = mapping({
  type: z.literal('pkd').describe('The kind of knock: pkd, the UDP datagram of ipt_pkd and nf-pkd.'),
  tag: parsed(z.string({ error: expected('text') }), parseTag)
    .prefault('PKD0')
    .describe('The first 4 bytes of the knock, as text, or as hex after 0x. Default: PKD0'),
  key: parsed(z.string({ error: expectedSecret('text') }), parseKey)
    .optional()
    .describe('The secret, 1 to 40 bytes, as text, or as hex after 0x; either this or key-file is needed.'),
  'key-file': z
    .string({ error: expectedSecret('a path') })
    .min(1, { error: () => 'expected a path, got empty text' })
    .optional()
    .describe('The file whose first line is the secret; a relative path starts at the directory of this file.'),
  port: parsed(textOrNumber('a port from 1 to 65535, or any'), readKnockPort)
    .prefault('any')
    .describe('The UDP port that the knock must be sent to, or any. Default: any'),
  ...whatItOpens,
  skew: duration(parseSkew)
    .prefault(10)
    .describe('How far the clocks may be apart, either way; seconds or a duration, -1 for any clock. Default: 10'),
  rate: rate
    .prefault('5/10s')
    .describe(
      'A share of knocks for each source, which fills again evenly over a time; none for no limit. Default: 5/10s',
    ),
  obo: flag()
    .prefault(false)
    .describe('Whether a knock may ask for another address than its own (on behalf of). Default: false'),
  'obo-prefixes': listOf(
    'addresses and prefixes',
    parsed(text('an address or a prefix such as 192.0.2.0/24'), parsePrefix),
  )
    .transform(withoutContained)
    .prefault([])
    .describe('The addresses and prefixes that may be asked for with obo; others are refused. Default: []'),
})

function readKnockPort(value: string | number): number | null {
  if (value === 'any') return null
  try {
    return parsePort(value)
  } catch {
    throw new ValueError(`expected a port from 1 to 65535, or any, got ${shown(value)}`)
  }
}

const step = parsed(textOrNumber('a knock such as 7000 or 8000:udp'), value => readStep(String(value)))

function readStep(text: string): Step {
  try {
    return parseStep(text)
  } catch (error) {
    throw new ValueError((error as Error).message)
  }
}

const address = parsed(text('an IPv4 or IPv6 address'), value => parseAddress(value).address)

/** What every credential has whose knocks are ports in an order. */
const howItIsKnocked = {
  timeout: duration(parseWindow)
    .prefault(10)
    .describe('How long the whole sequence may take; seconds or a duration. Default: 10'),
  'tcp-flags': listOf('flags such as syn or "!ack"', z.string({ error: expected('a flag such as syn or "!ack"') }))
    .transform(readFlags)
    .prefault(['syn', '!ack'])
    .describe(
      'Which TCP packets are knocks: flags that must be set, or not with ! before them. Default: ["syn","!ack"]',
    ),
  target: z
    .union([address.transform(one => [one]), listOf('addresses', address)], {
      error: expected('an address, or a list of addresses'),
    })
    .prefault([])
    .describe(
      'The addresses that knocks must be sent to, one or a list. [] for any address of the machine. Default: []',
    ),
  rate: rate
    .prefault('none')
    .describe('A share of knocks for each source, such as 5/10s; none for no limit. Default: none'),
}

function readFlags(flags: string[], context: z.RefinementCtx): FlagRule {
  try {
    return parseFlags(flags)
  } catch (cause) {
    context.addIssue({ code: 'custom', message: (cause as Error).message })
    return z.NEVER
  }
}

export const sequenceSchema = mapping({
  type: z.literal('sequence').describe('What the credential is: knocks at fixed ports, in their order.'),
  sequence: listOf('knocks such as 7000 or 8000:udp', step)
    .min(1, { error: () => 'expected at least one knock' })
    .max(maxSteps, { error: () => `expected at most ${maxSteps} knocks` })
    .describe('The ports to knock at, in their order: 7000 or 7000:tcp, 8000:udp.'),
  ...howItIsKnocked,
  ...whatItOpens,
})

const oneTimeSchema = mapping({
  type: z.literal('one-time').describe('What the credential is: sequences from a file, each good for once.'),
  'sequences-file': z
    .string({ error: expected('a path') })
    .min(1, { error: () => 'expected a path, got empty text' })
    .describe(
      'The file with a sequence on each line, such as "7000,8000:udp,9000" after a space; a used one gets a # in front.',
    ),
  ...howItIsKnocked,
  ...whatItOpens,
})

const secret = () =>
  z.string({ error: expectedSecret('text') }).min(1, { error: () => 'expected a secret, got empty text' })
const secretFile = () =>
  z.string({ error: expectedSecret('a path') }).min(1, { error: () => 'expected a path, got empty text' })

export const rotatingSchema = mapping({
  type: z.literal('rotating').describe('What the credential is: knocks at ports that a secret and the hour give.'),
  'open-secret': secret()
    .optional()
    .describe('The secret of the opening sequence; either this or open-secret-file is needed.'),
  'open-secret-file': secretFile().optional().describe('The file whose first line is that secret.'),
  'close-secret': secret()
    .optional()
    .describe('The secret of the sequence that takes the grant back. Default: there is none'),
  'close-secret-file': secretFile().optional().describe('The file whose first line is that secret.'),
  digest: oneOf(digests)
    .prefault('sha256')
    .describe('md5 (8 ports), sha256 (16), sha384 (24) or sha512 (32). Default: sha256'),
  range: parsed(textOrNumber('a range of ports such as 1-65535'), readRange)
    .prefault('1-65535')
    .describe('The ports that can occur; the last one never does. Default: 1-65535'),
  hour: oneOf(hourKinds).prefault('utc').describe("Whose hours count: utc, or local as nfqknockd's do. Default: utc"),
  grace: duration(readGrace)
    .prefault(0)
    .describe("How long before and after the turn of the hour the neighbour's sequence counts as well. Default: 0"),
  ...howItIsKnocked,
  ...whatItOpens,
})

function readRange(value: string | number): PortRange {
  const [range, ...more] = parsePorts(value)
  if (range && more.length === 0 && range.first < range.last) return range
  throw new ValueError(`expected a range of ports such as 1-65535, got ${shown(value)}`)
}

const maxGraceSeconds = 1799

function readGrace(value: string | number): number {
  const seconds = parseDuration(value)
  if (seconds > maxGraceSeconds) throw new ValueError(`expected a time below half an hour, got ${shown(value)}`)
  return seconds
}

/** The kinds of credentials; add a schema here, and its keys to `shapes` below. */
export const credentialTypes = ['pkd', 'sequence', 'one-time', 'rotating'] as const
export const credentialSchema = z.discriminatedUnion(
  'type',
  [pkdSchema, sequenceSchema, oneTimeSchema, rotatingSchema],
  {
    error: expectedSecret('a mapping'),
  },
)

/** The options that a credential of any kind may have, for the near miss of a misspelt one. */
export const credentialKeys: object = {
  ...pkdSchema.shape,
  ...sequenceSchema.shape,
  ...oneTimeSchema.shape,
  ...rotatingSchema.shape,
}
