/**
 * The identity of a server, or of a group of servers: an X25519 public key of 32 bytes, which is printed as `pk1:` and 43
 * characters of base64url. Clients need it to knock. It is not a secret: it lets nothing pass but the first checks.
 *
 * From it follow three keys of 32 bytes, HMAC-SHA-256(identity, label): one for the prefix by which the kernel knows the
 * packets of this minute, one for the check of the whole packet, one for what hides the parts that are not random.
 */
import { createHmac } from 'node:crypto'
import { MacKey } from './mac-key.js'

const identityLength = 32
const start = 'pk1:'

/** Undefined for what is not an identity in its one spelling. */
export function parseIdentity(text: string): Buffer | undefined {
  if (!text.startsWith(start)) return undefined
  const identity = Buffer.from(text.slice(start.length), 'base64url')
  // The highest bit of an X25519 key means nothing (RFC 7748, section 5): a second spelling of the same key.
  const isKey = identity.length === identityLength && ((identity[identityLength - 1] as number) & 0x80) === 0
  return isKey && formatIdentity(identity) === text ? identity : undefined
}

export const formatIdentity = (identity: Buffer): string => `${start}${identity.toString('base64url')}`

export interface FilterKeys {
  readonly prefix: MacKey
  readonly mac: MacKey
  readonly mask: MacKey
}

const known = new Map<string, FilterKeys>()
const maxKnown = 64

export function filterKeys(identity: Buffer): FilterKeys {
  const name = identity.toString('latin1')
  const found = known.get(name)
  if (found) return found
  const key = (label: string) => new MacKey(hmac(identity, Buffer.from(`pkctl knock 1 ${label}`)))
  const keys = { prefix: key('prefix'), mac: key('mac'), mask: key('mask') }
  if (known.size >= maxKnown) known.clear()
  known.set(name, keys)
  return keys
}

export function hmac(key: Buffer, ...parts: readonly Buffer[]): Buffer {
  const mac = createHmac('sha256', key)
  for (const part of parts) mac.update(part)
  return mac.digest()
}
