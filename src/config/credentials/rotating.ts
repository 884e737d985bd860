/** Credentials that are knocked at ports that a secret and the hour give: src/knock/rotating.ts. */
import * as z from 'zod'
import type { RotatingSequence } from '../../knock/index.js'
import { digests, hourKinds } from '../../knock/index.js'
import type { PortRange } from '../../net/index.js'
import { parsePorts } from '../../net/index.js'
import { parseDuration, shown, ValueError } from '../../util/index.js'
import { duration, expectedSecret, mapping, oneOf, parsed, textOrNumber } from '../schema-parts.js'
import { commonOptions, credentialKind } from './common.js'
import { secretPath } from './key-options.js'
import { stepsOf, stepsOptions } from './steps.js'
import type { RotatingCredential } from './any-credential.js'

const secret = () =>
  z.string({ error: expectedSecret('text') }).min(1, { error: () => 'expected a secret, got empty text' })

const schema = mapping({
  type: z.literal('rotating').describe('What the credential is: knocks at ports that a secret and the hour give.'),
  'open-secret': secret()
    .optional()
    .describe('The secret of the opening sequence; either this or open-secret-file is needed.'),
  'open-secret-file': secretPath().optional().describe('The file whose first line is that secret.'),
  'close-secret': secret().optional().describe('The secret of the sequence that revokes the grant. Default: none'),
  'close-secret-file': secretPath().optional().describe('The file whose first line is that secret.'),
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
  ...stepsOptions,
  ...commonOptions,
})

export const kind = credentialKind({
  schema,
  secrets: { 'open-secret': 'needed', 'close-secret': 'optional' },
  load({ common, data, secrets, at, context }): RotatingCredential | undefined {
    const { digest, range, hour, grace } = data
    const shared = stepsOf(data, at, context)
    const rotation = (secret: string | undefined): RotatingSequence | null =>
      secret === undefined ? null : { secret, digest, first: range.first, last: range.last }
    const open = rotation(data['open-secret'] ?? secrets['open-secret']?.line)
    const close = rotation(data['close-secret'] ?? secrets['close-secret']?.line)
    return open ? { ...common, ...shared, type: 'rotating', open, close, hour, grace } : undefined
  },
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
