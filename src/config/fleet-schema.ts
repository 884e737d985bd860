/** The servers with which this one shares grants, and the engine through which they hear of each other. */
import * as z from 'zod'
import { quote, unexpected, ValueError } from '../util/index.js'
import { secretPath } from './credentials/key-options.js'
import { duration, expectedSecret, listOf, mapping, name, parsed, text, whole } from './schema-parts.js'
import { parseWindow } from './service-rules.js'

const serviceNames = (what: string) =>
  listOf('names of services', name('the name of a service')).prefault([]).describe(`${what} Default: []`)

export const fleet = mapping({
  url: parsed(z.string({ error: expectedSecret('a URL') }), parseEngineUrl)
    .nullable()
    .prefault(null)
    .describe(
      'Where the engine of the fleet is, a Valkey or Redis: redis://HOST:6379, or rediss:// for TLS; null means that there ' +
        'is no fleet. Default: null',
    ),
  user: parsed(text('the name of a user'), parseEngineUser)
    .optional()
    .describe("The user of the engine. Default: the engine's own"),
  'password-file': secretPath()
    .optional()
    .describe(
      'The file whose first line is the password of the engine; a relative path starts at the directory of this file.',
    ),
  'ca-file': secretPath()
    .optional()
    .describe('The certificates in PEM by which the engine is known, with rediss://. Default: those of the system'),
  group: parsed(text('a name'), parseFleetName)
    .optional()
    .describe('The name of the fleet, the same on all of its servers.'),
  node: parsed(text('a name'), parseFleetName)
    .optional()
    .describe('The name of this server, which no other one of the fleet has. Default: its host name'),
  'key-file': secretPath()
    .optional()
    .describe(
      'The file whose first line is the key of the fleet, 32 bytes in hex after 0x, the same on all of its servers.',
    ),
  share: serviceNames('The services whose grants and revocations the others hear of.'),
  accept: serviceNames('The services whose grants and revocations count here when others make them.'),
  'most-grants': whole('a number', 1, 1_000_000)
    .prefault(100_000)
    .describe('How many grants and revocations of each other server count at the same time. Default: 100000'),
  'longest-window': duration(parseWindow)
    .prefault(86_400)
    .describe(
      'How long a grant runs on the other servers at most: seconds, or 10m, 8h, 2d; the same on all servers. Default: 86400',
    ),
})

/** No message quotes the URL: people write passwords into it. */
function parseEngineUrl(value: string): { readonly host: string; readonly port: number; readonly tls: boolean } {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (!url || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '')
    throw new ValueError('expected a URL that starts with redis:// or rediss:// (not shown: it can be a secret)')
  if (url.username !== '' || url.password !== '')
    throw new ValueError(
      'expected a URL without a user or a password (not shown: it can be a secret)',
      "set 'user' and 'password-file'",
    )
  if (!['', '/', '/0'].includes(url.pathname) || url.search !== '' || url.hash !== '')
    throw new ValueError('expected a URL without a path', 'the fleet uses database 0')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return { host, port: url.port === '' ? 6379 : Number(url.port), tls: url.protocol === 'rediss:' }
}

function parseEngineUser(value: string): string {
  if (!/^[^\s"'\\]{1,128}$/.test(value)) throw unexpected('the name of a user', value)
  return value
}

/** Of groups and nodes: a host name is one. */
export const fleetNamePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

function parseFleetName(value: string): string {
  if (!fleetNamePattern.test(value))
    throw new ValueError(
      `${quote(value)} is not a name of a fleet or a server`,
      "letters, digits, '.', '-' and '_', starting with a letter or digit, at most 64 characters",
    )
  return value
}
