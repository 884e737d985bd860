/**
 * The PKD knock of ipt_pkd 1.x and nf-pkd: one UDP datagram, whose payload is exactly 56 bytes.
 *
 * | offset | size | field                                                            |
 * | ------ | ---- | ---------------------------------------------------------------- |
 * | 0      | 4    | tag, padded with zeros                                           |
 * | 4      | 8    | Unix time in seconds, little-endian                              |
 * | 12     | 12   | random bytes                                                     |
 * | 24     | 32   | SHA-256 of: destination port (2 bytes, big-endian) twice, the 24 |
 * |        |      | bytes before, and the key padded with zeros to 40 bytes          |
 *
 * The destination port stands twice where ipt_pkd 1.0 had the source port first, which NAT changes.
 * The source address is not hashed: a captured knock that is sent before the original arrives opens for its sender.
 */
import * as crypto from 'node:crypto'
import { SecretFormatError } from './secret-errors.js'
import type { KnockFormat } from './format.js'

export const payloadLength = 56
export const pkdTagLength = 4
export const maxKeyLength = 40
export const defaultTag = 'PKD0'

const timeOffset = 4
const randomOffset = 12
/** Bytes of the header that make each knock another one. */
export const randomLength = 12
const hashOffset = 24
/** Tag, time and random bytes. */
export const headerLength = hashOffset
const blockLength = 4 + hashOffset + maxKeyLength

export interface PkdFields {
  /** 4 bytes. */
  readonly tag: Buffer
  /** Unix time, seconds. */
  readonly time: number
  /** 12 bytes. */
  readonly random: Buffer
}

/** A key ready for hashing: 40 bytes, padded with zeros. */
export type PkdKey = Buffer & { readonly __pkdKey: true }

/** What knocks are checked against. */
export interface PkdSecret {
  /** 4 bytes. */
  readonly tag: Buffer
  readonly key: PkdKey
}

/** `text` as ASCII, or as hex when it starts with 0x; up to 4 bytes, padded with zeros. */
export function parseTag(text: string): Buffer {
  return padded('tag', text, pkdTagLength)
}

/** `text` as ASCII, or as hex when it starts with 0x; 1 to 40 bytes. A longer key is an error and is never cut. */
export function parsePkdKey(text: string): PkdKey {
  if (text === '') throw new SecretFormatError('the key is empty')
  return padded('key', text, maxKeyLength) as PkdKey
}

/** Four bytes as they are usually written: ASCII where printable, else hex. */
export function formatTag(tag: Buffer): string {
  const text = tag.toString('latin1').replace(/\0+$/, '')
  return /^[\x21-\x7e]+$/.test(text) && !/^0x/i.test(text) ? text : `0x${tag.toString('hex')}`
}

function padded(what: string, text: string, size: number): Buffer {
  const bytes = /^0x/i.test(text) ? fromHex(what, text.slice(2)) : Buffer.from(text, 'utf8')
  if (bytes.length > size) {
    throw new SecretFormatError(`the ${what} is ${bytes.length} bytes long, at most ${size} are possible`)
  }
  return Buffer.concat([bytes], size)
}

// An odd last digit counts as the high half of its byte, as in ipt_pkd's client.
function fromHex(what: string, digits: string): Buffer {
  if (!/^[0-9a-f]+$/i.test(digits)) throw new SecretFormatError(`the ${what} starts with 0x and is not hex after it`)
  return Buffer.from(digits.length % 2 === 0 ? digits : `${digits}0`, 'hex')
}

/** The 56 bytes for a knock on `port`. */
export function encodePkd(fields: PkdFields, port: number, key: PkdKey): Buffer {
  const payload = Buffer.alloc(payloadLength)
  encodeHeader(fields, payload)
  Buffer.from(hashPkd(payload, 0, port, key), 'latin1').copy(payload, hashOffset)
  return payload
}

/** Writes the first 24 bytes. */
export function encodeHeader(fields: PkdFields, payload: Buffer): void {
  fields.tag.copy(payload, 0, 0, pkdTagLength)
  payload.writeBigUInt64LE(BigInt(fields.time), timeOffset)
  fields.random.copy(payload, randomOffset, 0, randomLength)
}

/** The time of the knock that starts at `offset`, in Unix seconds; what no number holds exactly counts as 2^53 - 1. */
export function readTime(bytes: Buffer, offset: number): number {
  const at = offset + timeOffset
  return Math.min(bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32, Number.MAX_SAFE_INTEGER)
}

// One block for all calls: JavaScript runs one of them at a time, and each overwrites what it hashes.
const block = Buffer.alloc(blockLength)

function hashPkd(bytes: Buffer, offset: number, port: number, key: PkdKey): string {
  block[0] = block[2] = port >> 8
  block[1] = block[3] = port & 0xff
  bytes.copy(block, 4, offset, offset + hashOffset)
  key.copy(block, 4 + hashOffset)
  return crypto.hash('sha256', block, 'latin1' as 'hex')
}

/** Whether the knock at `offset`, sent to `port`, was made with `key`. Takes the same time wherever they differ. */
function verifyPkd(bytes: Buffer, offset: number, port: number, key: PkdKey): boolean {
  const hash = hashPkd(bytes, offset, port, key)
  const at = offset + hashOffset
  let difference = 0
  for (let i = 0; i < 32; i++) difference |= hash.charCodeAt(i) ^ (bytes[at + i] as number)
  return difference === 0
}

export const pkd: KnockFormat<PkdSecret> = {
  id: 'pkd',
  payloadLength,
  carriesAddress: false,
  secretOf: ({ tag, key }) => ({ tag: Buffer.from(tag), key: Buffer.from(key) as PkdKey }),
  // Journals of all releases have it so; a longer tag or key than these is not possible.
  identityOf: ({ tag, key }) => Buffer.concat([tag, key]),
  firstWord: ({ tag }) => tag.readUInt32BE(0),
  verify(bytes, at, port, { key }) {
    if (!verifyPkd(bytes, at, port, key)) return undefined
    // To all who lack the key the hash is as good as random.
    return { time: readTime(bytes, at), digestAt: at + hashOffset }
  },
  encode: ({ port, time, random }, { tag, key }) =>
    encodePkd({ tag, time: Math.floor(time), random: random(randomLength) }, port, key),
}
