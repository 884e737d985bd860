/**
 * What all packets of pkctl's own knock have: a prefix of this minute, a salt, a check that only who knows the server's
 * identity can make, and a sealed body. docs/protocol.md is the specification.
 *
 * | offset | size | field                                                                              |
 * | ------ | ---- | ---------------------------------------------------------------------------------- |
 * | 0      | 8    | prefix: HMAC-SHA-256(prefix key, period), cut                                      |
 * | 8      | 16   | salt, random                                                                       |
 * | 24     | 16   | check: HMAC-SHA-256(mac key, all bytes before it and behind it), cut               |
 * | 40     | n    | hint (8) or ephemeral key (32), XOR the first n bytes of HMAC-SHA-256(mask key, salt) |
 * | 40 + n |      | body under ChaCha20-Poly1305 (RFC 8439), nonce of zeros, and the tag (16)          |
 *
 * The key of the body comes from HKDF-SHA-256 (RFC 5869) with this salt, so that a nonce of zeros is used once. The data
 * that is authenticated with it are prefix, salt, the masked n bytes, and the UDP port (2 bytes, big-endian).
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import type { FilterKeys } from './identity.js'
import { prefixLength } from './period.js'

export const saltAt = prefixLength
export const saltLength = 16
const macAt = saltAt + saltLength
const macLength = 16
export const maskedAt = macAt + macLength
export const cipherTagLength = 16
const cipher = 'chacha20-poly1305'
const nonce = Buffer.alloc(12)

/** A packet, as its place in a buffer. */
export interface PacketPlace {
  readonly bytes: Buffer
  readonly at: number
  readonly length: number
  /** The UDP port that it was sent to. */
  readonly port: number
}

/** What refuses a packet, as docs/protocol.md names it. */
export type Layer = 'check' | 'hint' | 'ephemeral' | 'seal' | 'request' | 'period' | 'signer'

const part = ({ bytes, at }: PacketPlace, offset: number, length: number) =>
  bytes.subarray(at + offset, at + offset + length)

export const saltOf = (place: PacketPlace): Buffer => part(place, saltAt, saltLength)
export const prefixIn = (place: PacketPlace): Buffer => part(place, 0, prefixLength)

/** In latin1, longer than what travels. */
const macOf = ({ mac }: FilterKeys, { bytes, at, length }: PacketPlace): string =>
  mac.digest(bytes, at, at + macAt, at + maskedAt, at + length)

/**
 * Whether the packet was made by a sender who knows the identity, and is as it was. Takes the same time wherever they
 * differ.
 */
export function hasRightCheck(keys: FilterKeys, place: PacketPlace): boolean {
  const mac = macOf(keys, place)
  const from = place.at + macAt
  let difference = 0
  for (let i = 0; i < macLength; i++) difference |= mac.charCodeAt(i) ^ (place.bytes[from + i] as number)
  return difference === 0
}

/** The `length` bytes behind the check, at most 32, without their mask. */
export function unmasked(keys: FilterKeys, { bytes, at }: PacketPlace, length: number): Buffer {
  const shown = Buffer.alloc(length)
  unmask(keys, bytes, at, shown)
  return shown
}

/** Fills `shown` with the bytes behind the check of the packet at `at`, without their mask. */
export function unmask(keys: FilterKeys, bytes: Buffer, at: number, shown: Buffer): void {
  const from = at + maskedAt
  for (let i = 0; i < shown.length; i++) shown[i] = bytes[from + i] as number
  toggleMask(keys, bytes, at + saltAt, shown)
}

/** The same hides what is shown. */
function toggleMask({ mask }: FilterKeys, bytes: Buffer, saltFrom: number, hidden: Buffer): void {
  const pad = mask.digest(bytes, saltFrom, saltFrom + saltLength)
  for (let i = 0; i < hidden.length; i++) hidden[i] = (hidden[i] as number) ^ pad.charCodeAt(i)
}

export const sealKey = (secret: Buffer, salt: Buffer, label: string, context: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, salt, Buffer.concat([Buffer.from(`pkctl knock 1 ${label}`), context]), 32))

function authenticated(place: PacketPlace, maskedLength: number): Buffer {
  const port = Buffer.alloc(2)
  port.writeUInt16BE(place.port)
  return Buffer.concat([part(place, 0, macAt), part(place, maskedAt, maskedLength), port])
}

/** The body; undefined where it was not sealed with this key. */
export function decryptBody(key: Buffer, place: PacketPlace, maskedLength: number): Buffer | undefined {
  const from = maskedAt + maskedLength
  const sealed = part(place, from, place.length - from)
  const decipher = createDecipheriv(cipher, key, nonce, { authTagLength: cipherTagLength })
  const bodyLength = sealed.length - cipherTagLength
  decipher.setAAD(authenticated(place, maskedLength), { plaintextLength: bodyLength })
  decipher.setAuthTag(sealed.subarray(bodyLength))
  try {
    const body = decipher.update(sealed.subarray(0, bodyLength))
    decipher.final()
    return body
  } catch {
    return undefined
  }
}

/** What a packet is made of. */
interface Parts {
  readonly keys: FilterKeys
  readonly prefix: Buffer
  readonly salt: Buffer
  /** Hint or ephemeral key, without the mask. */
  readonly hidden: Buffer
  readonly key: Buffer
  readonly body: Buffer
  readonly port: number
}

export function sealPacket({ keys, prefix, salt, hidden, key, body, port }: Parts): Buffer {
  const bytes = Buffer.alloc(maskedAt + hidden.length + body.length + cipherTagLength)
  prefix.copy(bytes)
  salt.copy(bytes, saltAt)
  const masked = Buffer.from(hidden)
  toggleMask(keys, salt, 0, masked)
  masked.copy(bytes, maskedAt)
  const place = { bytes, at: 0, length: bytes.length, port }
  const encipher = createCipheriv(cipher, key, nonce, { authTagLength: cipherTagLength })
  encipher.setAAD(authenticated(place, hidden.length), { plaintextLength: body.length })
  const from = maskedAt + hidden.length
  encipher.update(body).copy(bytes, from)
  encipher.final()
  encipher.getAuthTag().copy(bytes, from + body.length)
  bytes.write(macOf(keys, place).slice(0, macLength), macAt, 'latin1')
  return bytes
}
