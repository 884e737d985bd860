/** Credentials for fwknop's packet: src/knock/fwknop/fwknop-format.ts. */
import * as z from 'zod'
import { fwknopPort, hmacNames, isUserName, maxFwknopHmacKey, maxFwknopKey } from '../../knock/index.js'
import { parsePort } from '../../net/index.js'
import { oneLine, ValueError } from '../../util/index.js'
import type { ConfigPath } from '../config-path.js'
import { formatPath } from '../config-path.js'
import type { Context } from '../context.js'
import { duration, expectedSecret, flag, mapping, oneOf, parsed, text, textOrNumber } from '../schema-parts.js'
import type { SecretFile } from '../secrets.js'
import { parseWindow } from '../service-rules.js'
import { parseFwknopKey, parseInstant, parseSkew } from '../values.js'
import { commonOptions, credentialKind } from './common.js'
import { limitOptions, onBehalfOptions, onBehalfPrefixes } from './packet-options.js'
import type { FwknopCredential } from './any-credential.js'

const spelled = 'as text, as hex after 0x, or as base64 after base64:'

const schema = mapping({
  type: z.literal('fwknop').describe('The kind of knock: fwknop, the packet of fwknop with Rijndael and an HMAC.'),
  key: parsed(z.string({ error: expectedSecret('text') }), value => parseFwknopKey(value, maxFwknopKey))
    .optional()
    .describe(`The key of the encryption, 1 to ${maxFwknopKey} bytes, ${spelled}; either this or key-file is needed.`),
  'key-file': keyFile('key'),
  'hmac-key': parsed(z.string({ error: expectedSecret('text') }), value => parseFwknopKey(value, maxFwknopHmacKey))
    .optional()
    .describe(
      `The key of the HMAC, 1 to ${maxFwknopHmacKey} bytes, ${spelled}; either this or hmac-key-file is needed.`,
    ),
  'hmac-key-file': keyFile('key of the HMAC'),
  hmac: oneOf(hmacNames).prefault('sha256').describe("The HMAC's hash. Default: sha256"),
  port: parsed(textOrNumber('a port from 1 to 65535'), parsePort)
    .prefault(fwknopPort)
    .describe(`The UDP port that the packet must be sent to. Default: ${fwknopPort}`),
  ...commonOptions,
  'max-window': duration(parseWindow)
    .prefault(300)
    .describe('The longest time that a client can ask for. If it asks for more, it gets this time. Default: 300'),
  user: parsed(text('the name of a user'), readUser)
    .optional()
    .describe('The only name of a user that packets may have. Default: any'),
  'require-source-address': flag()
    .prefault(false)
    .describe('Whether a packet must contain the address of its sender. Default: false'),
  expires: parsed(text('a date such as 2027-01-31 or 2027-01-31T18:00:00Z'), parseInstant)
    .optional()
    .describe('When the credential expires, in UTC: a date, or a date and a time. Default: never'),
  skew: duration(parseSkew)
    .prefault(120)
    .describe('How far the clocks may be apart, either way; seconds or a duration, -1 for any clock. Default: 120'),
  rate: limitOptions.rate,
  ...onBehalfOptions,
})

function keyFile(what: string) {
  return z
    .string({ error: expectedSecret('a path') })
    .min(1, { error: () => 'expected a path, got empty text' })
    .optional()
    .describe(`The file whose first line is the ${what}; a relative path starts at the directory of this file.`)
}

function readUser(value: string): string {
  if (isUserName(value)) return value
  throw new ValueError("expected a name of a user that fwknop's clients can send", 'without : , / and the like')
}

export const kind = credentialKind({
  schema,
  secrets: { key: 'needed', 'hmac-key': 'needed' },
  verbatim: ['user'],
  identifiedBy: 'keys',
  load({ common, data, secrets, at, context }): FwknopCredential | undefined {
    const key = data.key ?? keyIn(secrets['key'], maxFwknopKey, [...at, 'key-file'], context)
    const hmacFile = secrets['hmac-key']
    const hmacKey = data['hmac-key'] ?? keyIn(hmacFile, maxFwknopHmacKey, [...at, 'hmac-key-file'], context)
    const onBehalfOf = onBehalfPrefixes(data, at, context)
    if (!key || !hmacKey) return undefined
    if (key.equals(hmacKey)) {
      const message = 'the key of the encryption is that of the HMAC as well; each needs its own'
      context.findings.warn(context.merged.positionOf(at), `${formatPath(at)}${message}`)
    }
    const { hmac, port, skew, user = null, expires = null } = data
    const [requireSourceAddress, maxWindow] = [data['require-source-address'], data['max-window']]
    const secret = { key, hmacKey, hmac, user, requireSourceAddress, expires, maxWindow }
    return { ...common, type: 'fwknop', ...secret, port, skew, onBehalfOf }
  },
})

function keyIn(file: SecretFile | undefined, most: number, at: ConfigPath, { merged, findings }: Context) {
  if (!file) return undefined
  try {
    return parseFwknopKey(file.line, most)
  } catch (cause) {
    if (!(cause instanceof ValueError)) throw cause
    const where = `${formatPath(at)}${oneLine(file.path)}`
    findings.problem(merged.positionOf(at), `${where} holds no usable key: ${cause.message}`)
    return undefined
  }
}
