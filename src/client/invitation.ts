/**
 * An invitation: what a client needs to knock at a server, as one line that can be sent to its user.
 *
 * `pkctl://HOST[:PORT]?id=IDENTITY&services=SERVICES[&key=KEY]`
 *
 * HOST is a name, an IPv4 address, or an IPv6 address in brackets; PORT is the UDP port to knock at, none for any. IDENTITY
 * is that of the server, as `pkctl keygen --server` prints it. SERVICES are those that the user may open, with commas
 * between them: NAME, NAME:PORT for TCP, or NAME:PORT/udp. KEY is a symmetric key, in base64url; users of SSH keys have none.
 * Each is given once, and no others are taken.
 */
import { namePattern } from '../config/values.js'
import { formatIdentity, parseIdentity } from '../knock/index.js'
import { hostBeforePort, parsePort } from '../net/index.js'
import { UserError } from '../util/index.js'

interface InvitedService {
  readonly name: string
  readonly protocol: 'tcp' | 'udp'
  /** Undefined where it is not known. */
  readonly port: number | undefined
}

export interface Invitation {
  /** A name or an address, without brackets. */
  readonly host: string
  /** UDP port to knock at; null for any. */
  readonly port: number | null
  /** 32 bytes. */
  readonly identity: Buffer
  readonly services: readonly InvitedService[]
  /** 32 bytes; null where the user has an SSH key. */
  readonly key: Buffer | null
}

const maxLength = 2048
const keyLength = 32

export function formatInvitation({ host, port, identity, services, key }: Invitation): string {
  const place = `${hostBeforePort(host)}${port === null ? '' : `:${port}`}`
  const list = services.map(formatService).join(',')
  const secret = key ? `&key=${key.toString('base64url')}` : ''
  return `pkctl://${place}?id=${formatIdentity(identity)}&services=${list}${secret}`
}

const formatService = ({ name, protocol, port }: InvitedService) =>
  `${name}${port === undefined ? '' : `:${port}`}${port !== undefined && protocol === 'udp' ? '/udp' : ''}`

/** Throws a UserError, which never shows a key. */
export function parseInvitation(text: string): Invitation {
  const line = text.trim()
  const [, bracketed, name, digits, query] =
    /^pkctl:\/\/(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9][a-z0-9._-]{0,252}))(?::(\d{1,5}))?\?([\x21-\x7e]+)$/i.exec(line) ??
    []
  const host = bracketed ?? name
  if (line.length > maxLength || host === undefined || query === undefined)
    throw new UserError('this is no invitation', 'expected one line such as pkctl://HOST?id=pk1:…, in single quotes')
  const fields = new Map<string, string>()
  for (const field of query.split('&')) {
    const [, key = '', value = ''] = /^([a-z]+)=(.*)$/.exec(field) ?? []
    if (!['id', 'services', 'key'].includes(key))
      throw new UserError('the invitation has a part that is not known here', 'it may be of a later version of pkctl')
    if (fields.has(key)) throw new UserError(`the invitation has ${key} twice`)
    fields.set(key, value)
  }
  const identity = parseIdentity(fields.get('id') ?? '')
  if (!identity)
    throw new UserError('the invitation has no identity of a server, id=pk1:…, or a part of it was cut off')
  return {
    host,
    port: digits === undefined ? null : parsePort(digits),
    identity,
    services: (fields.get('services') ?? '').split(',').filter(Boolean).map(parseService),
    key: readKey(fields.get('key')),
  }
}

function parseService(text: string): InvitedService {
  const [, name = '', digits, udp] = /^([^:/]+)(?::(\d{1,5})(\/udp)?)?$/.exec(text) ?? []
  // It is not shown: where the line was changed on its way, the key can be in it.
  if (!namePattern.test(name))
    throw new UserError('the invitation has an invalid service', 'copy the line again, as pkctl invite printed it')
  const port = digits === undefined ? undefined : parsePort(digits)
  return { name, protocol: udp === undefined ? 'tcp' : 'udp', port }
}

function readKey(text: string | undefined): Buffer | null {
  if (text === undefined) return null
  const key = Buffer.from(text, 'base64url')
  if (key.length === keyLength && key.toString('base64url') === text) return key
  throw new UserError('the invitation has an invalid key, or a part of it was cut off')
}
