/** Credentials for fwknop's packet: src/knock/fwknop/fwknop-format.ts. */
import * as z from 'zod'
import { fwknopPort, hmacNames, isUserName, maxFwknopHmacKey, maxFwknopKey } from '../../knock/index.js'
import { parsePort } from '../../net/index.js'
import { ValueError } from '../../util/index.js'
import { formatPath } from '../config-path.js'
import { duration, flag, mapping, oneOf, parsed, text, textOrNumber } from '../schema-parts.js'
import { parseWindow } from '../service-rules.js'
import { parseFwknopKey, parseInstant, parseSkew } from '../values.js'
import { commonOptions, credentialKind } from './common.js'
import { keyFileOption, keyInFile, keyOption } from './key-options.js'
import { limitOptions, onBehalfOptions, onBehalfPrefixes } from './packet-options.js'
import type { FwknopCredential } from './any-credential.js'

const spelled = 'as text, as hex after 0x, or as base64 after base64:'

const readKey = (value: string) => parseFwknopKey(value, maxFwknopKey)
const readHmacKey = (value: string) => parseFwknopKey(value, maxFwknopHmacKey)

const schema = mapping({
  type: z.literal('fwknop').describe('The kind of knock: fwknop, the packet of fwknop with Rijndael and an HMAC.'),
  key: keyOption(readKey)
    .optional()
    .describe(`The key of the encryption, 1 to ${maxFwknopKey} bytes, ${spelled}; either this or key-file is needed.`),
  'key-file': keyFileOption('key'),
  'hmac-key': keyOption(readHmacKey)
    .optional()
    .describe(
      `The key of the HMAC, 1 to ${maxFwknopHmacKey} bytes, ${spelled}; either this or hmac-key-file is needed.`,
    ),
  'hmac-key-file': keyFileOption('key of the HMAC'),
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
    const key = data.key ?? keyInFile(secrets['key'], readKey, [...at, 'key-file'], context)
    const hmacFile = secrets['hmac-key']
    const hmacKey = data['hmac-key'] ?? keyInFile(hmacFile, readHmacKey, [...at, 'hmac-key-file'], context)
    const onBehalfOf = onBehalfPrefixes(data, at, context)
    if (!key || !hmacKey) return undefined
    if (key.equals(hmacKey)) {
      const message = 'the encryption key and the HMAC key are the same; use two different keys'
      context.findings.warn(context.merged.positionOf(at), `${formatPath(at)}${message}`)
    }
    const { hmac, port, skew, user = null, expires = null } = data
    const [requireSourceAddress, maxWindow] = [data['require-source-address'], data['max-window']]
    const secret = { key, hmacKey, hmac, user, requireSourceAddress, expires, maxWindow }
    return { ...common, type: 'fwknop', ...secret, port, skew, onBehalfOf }
  },
})
