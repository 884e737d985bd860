/**
 * A knock on behalf of another address: the PKD packet with a middle part, in one UDP datagram whose payload is exactly
 * 76 bytes. Receivers of the plain packet, which has 56, pass it over.
 *
 * | offset | size | field                                                              |
 * | ------ | ---- | ------------------------------------------------------------------ |
 * | 0      | 24   | tag, time and random bytes, as in the plain packet                 |
 * | 24     | 1    | version of this part: 1                                            |
 * | 25     | 1    | IP version of the address: 4 or 6                                  |
 * | 26     | 2    | zero                                                               |
 * | 28     | 16   | the address; one of IPv4 in the first 4 bytes, zeros after it      |
 * | 44     | 32   | SHA-256 of: destination port (2 bytes, big-endian) twice, the 44   |
 * |        |      | bytes before, and the key padded with zeros to 40 bytes            |
 *
 * The hashed block has 88 bytes, that of the plain packet 68: a hash of one is never a hash of the other.
 */
import * as crypto from 'node:crypto'
import type { KnockFormat, Requested } from './format.js'
import type { PkdFields, PkdKey, PkdSecret } from './pkd.js'
import { encodeHeader, headerLength, maxKeyLength, pkd, randomLength, readTime } from './pkd.js'

const versionAt = headerLength
const familyAt = headerLength + 1
const zeroAt = headerLength + 2
const addressAt = headerLength + 4
const addressLength = 16
const hashAt = addressAt + addressLength
const hashLength = 32
const formatVersion = 1

export const oboPayloadLength = hashAt + hashLength

/** The 76 bytes for a knock on `port` that asks for an address of 4 or 16 bytes. */
export function encodeObo(fields: PkdFields, address: Buffer, port: number, key: PkdKey): Buffer {
  const payload = Buffer.alloc(oboPayloadLength)
  encodeHeader(fields, payload)
  payload[versionAt] = formatVersion
  payload[familyAt] = address.length === 4 ? 4 : 6
  address.copy(payload, addressAt)
  hashOf(payload, 0, port, key).copy(payload, hashAt)
  return payload
}

/** Whether the knock at `offset`, sent to `port`, was made with `key`. Takes the same time wherever they differ. */
export function verifyObo(bytes: Buffer, offset: number, port: number, key: PkdKey): boolean {
  const at = offset + hashAt
  return crypto.timingSafeEqual(hashOf(bytes, offset, port, key), bytes.subarray(at, at + hashLength))
}

/**
 * The address that the knock at `offset` asks for; undefined for a version or a filling that is not of this format, and
 * for an IPv4 address written as IPv6, which the kernel never sees.
 */
export function requestedAddress(bytes: Buffer, offset: number): Requested | undefined {
  const version = bytes[offset + familyAt]
  if (bytes[offset + versionAt] !== formatVersion || bytes.readUInt16BE(offset + zeroAt) !== 0) return undefined
  const field = bytes.subarray(offset + addressAt, offset + hashAt)
  if (version === 4) {
    return field.subarray(4).every(byte => byte === 0)
      ? { version, address: field.subarray(0, 4).join('.') }
      : undefined
  }
  if (version !== 6 || mappedIpv4.equals(field.subarray(0, mappedIpv4.length))) return undefined
  const groups = Array.from({ length: 8 }, (_, i) => field.readUInt16BE(2 * i).toString(16))
  return { version, address: groups.join(':') }
}

const mappedIpv4 = Buffer.from('00000000000000000000ffff', 'hex')

function hashOf(bytes: Buffer, offset: number, port: number, key: PkdKey): Buffer {
  const block = Buffer.alloc(4 + hashAt + maxKeyLength)
  block.writeUInt16BE(port, 0)
  block.writeUInt16BE(port, 2)
  bytes.copy(block, 4, offset, offset + hashAt)
  key.copy(block, 4 + hashAt)
  return crypto.createHash('sha256').update(block).digest()
}

export const pkdOnBehalf: KnockFormat<PkdSecret> = {
  id: 'pkd-on-behalf',
  payloadLength: oboPayloadLength,
  carriesAddress: true,
  secretOf: source => pkd.secretOf(source),
  identityOf: secret => pkd.identityOf(secret),
  firstWord: (secret, time) => pkd.firstWord(secret, time),
  verify(bytes, at, port, { key }) {
    if (!verifyObo(bytes, at, port, key)) return undefined
    const requested = requestedAddress(bytes, at) ?? null
    return { time: readTime(bytes, at), digestAt: at + hashAt, requested }
  },
  encode({ port, time, random, address }, { tag, key }) {
    if (address === undefined) throw new Error('a knock on behalf of another needs an address')
    return encodeObo({ tag, time: Math.floor(time), random: random(randomLength) }, address, port, key)
  },
}
