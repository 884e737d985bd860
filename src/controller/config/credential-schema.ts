/** The kinds of credentials, each with its options. */
import * as z from 'zod'
import { parseKey, parseTag } from '../../knock/pkd.js'
import { digests, hourKinds } from '../../knock/rotating.js'
import type { Step } from '../../knock/sequence.js'
import { maxSteps, parseStep } from '../../knock/sequence.js'
import type { PortRange } from '../../nft/service.js'
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
import * as v from './values.js'

/** What every credential has. */
const whatItOpens = {
  opens: listOf('names of services', name('the name of a service'))
    .min(1, { error: () => 'expected at least one service' })
    .describe('The services that a knock opens.'),
  window: duration(v.parseWindow)
    .optional()
    .describe("How long a grant lasts; seconds, or 10m, 8h, 2d. Default: the service's own window"),
  enabled: flag().prefault(true).describe('Whether knocks with this credential count. Default: true'),
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
  skew: duration(v.parseSkew)
    .prefault(10)
    .describe('How far the clocks may be apart, either way; seconds or a duration, -1 for any clock. Default: 10'),
  rate: parsed(text('a rate such as 5/10s or 20/minute, or none'), v.parseRate)
    .prefault('5/10s')
    .describe(
      'A share of knocks for each source, which fills again evenly over a time; none for no limit. Default: 5/10s',
    ),
})

function readKnockPort(value: string | number): number | null {
  if (value === 'any') return null
  try {
    return v.parsePort(value)
  } catch {
    throw new v.ValueError(`expected a port from 1 to 65535, or any, got ${v.shown(value)}`)
  }
}

const step = parsed(textOrNumber('a knock such as 7000 or 8000:udp'), value => readStep(String(value)))

function readStep(text: string): Step {
  try {
    return parseStep(text)
  } catch (error) {
    throw new v.ValueError((error as Error).message)
  }
}

const timeout = duration(v.parseWindow)
  .prefault(10)
  .describe('How long the whole sequence may take; seconds or a duration. Default: 10')

const sequenceSchema = mapping({
  type: z.literal('sequence').describe('What the credential is: knocks at fixed ports, in their order.'),
  sequence: listOf('knocks such as 7000 or 8000:udp', step)
    .min(1, { error: () => 'expected at least one knock' })
    .max(maxSteps, { error: () => `expected at most ${maxSteps} knocks` })
    .describe('The ports to knock at, in their order: 7000 or 7000:tcp, 8000:udp.'),
  timeout,
  ...whatItOpens,
})

const secret = () =>
  z.string({ error: expectedSecret('text') }).min(1, { error: () => 'expected a secret, got empty text' })
const secretFile = () =>
  z.string({ error: expectedSecret('a path') }).min(1, { error: () => 'expected a path, got empty text' })

const rotatingSchema = mapping({
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
  timeout,
  ...whatItOpens,
})

function readRange(value: string | number): PortRange {
  const [range, ...more] = v.parsePorts(value)
  if (range && more.length === 0 && range.first < range.last) return range
  throw new v.ValueError(`expected a range of ports such as 1-65535, got ${v.shown(value)}`)
}

const maxGraceSeconds = 1799

function readGrace(value: string | number): number {
  const seconds = v.parseDuration(value)
  if (seconds > maxGraceSeconds) throw new v.ValueError(`expected a time below half an hour, got ${v.shown(value)}`)
  return seconds
}

/** The kinds of credentials; add a schema here, and its keys to `shapes` below. */
export const credentialTypes = ['pkd', 'sequence', 'rotating'] as const
export const credentialSchema = z.discriminatedUnion('type', [pkdSchema, sequenceSchema, rotatingSchema], {
  error: expectedSecret('a mapping'),
})

/** The options that a credential of any kind may have, for the near miss of a misspelt one. */
export const credentialKeys: object = { ...pkdSchema.shape, ...sequenceSchema.shape, ...rotatingSchema.shape }
