/**
 * The outer layers of fwknop's packet, in text: base64 without `=` of what `openssl enc -aes-256-cbc -md md5` makes, without
 * its first ten characters, which are always the same; and behind it an HMAC of that text with those ten characters, in
 * base64 without `=` as well.
 *
 * | what            | bytes                                                        |
 * | --------------- | ------------------------------------------------------------ |
 * | magic           | 8: `Salted__`; ten characters are 60 of its 64 bits          |
 * | salt            | 8, random                                                    |
 * | ciphertext      | AES-256 in CBC mode, with PKCS#7 padding                     |
 *
 * Key and IV are 48 bytes of MD5(key ‖ salt), then MD5(the hash before ‖ key ‖ salt) twice more.
 */
import * as crypto from 'node:crypto'

export const hmacNames = ['md5', 'sha1', 'sha256', 'sha384', 'sha512', 'sha3-256', 'sha3-512'] as const
export type HmacName = (typeof hmacNames)[number]

/** Characters of base64 without `=`. */
export const hmacLengths: Readonly<Record<HmacName, number>> = {
  md5: 22,
  sha1: 27,
  sha256: 43,
  sha384: 64,
  sha512: 86,
  'sha3-256': 43,
  'sha3-512': 86,
}

const magic = Buffer.from('Salted__')
const prefix = 'U2FsdGVkX1'
const saltLength = 8
const blockLength = 16
/** The last four bits of the magic and two of the salt, in base64. */
export const firstCharacters = '89+/'

/** A line of less has no room for its fields. */
const fewestBlocks = 5
/** fwknop takes 400 characters and more for GnuPG's. */
const mostBlocks = 17

/** The lengths that a packet with this HMAC can have. */
export function packetLengths(hmac: HmacName): number[] {
  return Array.from({ length: mostBlocks - fewestBlocks + 1 }, (_, i) => {
    const bytes = magic.length + saltLength + (fewestBlocks + i) * blockLength
    return Math.ceil((bytes * 4) / 3) - prefix.length + hmacLengths[hmac]
  })
}

export const withoutEqualsSigns = (base64: string): string => base64.replace(/=+$/, '')

/** What base64 without `=` stands for; undefined for another spelling of the same. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return withoutEqualsSigns(bytes.toString('base64')) === text ? bytes : undefined
}

const hmacOf = (text: Buffer, hmac: HmacName, key: Buffer): string =>
  withoutEqualsSigns(crypto.createHmac(hmac, key).update(prefix).update(text).digest('base64'))

interface Keys {
  readonly key: Buffer
  readonly hmacKey: Buffer
  readonly hmac: HmacName
}

/** What is in the packet, when its HMAC is right; nothing is decrypted before that is known. */
export function openContainer(packet: Buffer, { key, hmacKey, hmac }: Keys): Buffer | undefined {
  const text = packet.subarray(0, packet.length - hmacLengths[hmac])
  const given = packet.subarray(text.length)
  if (!crypto.timingSafeEqual(Buffer.from(hmacOf(text, hmac, hmacKey), 'latin1'), given)) return undefined
  const container = decodeBase64(prefix + text.toString('latin1'))
  if (!container?.subarray(0, magic.length).equals(magic)) return undefined
  const salt = container.subarray(magic.length, magic.length + saltLength)
  try {
    const decipher = crypto.createDecipheriv('aes-256-cbc', ...keyAndIv(key, salt))
    return Buffer.concat([decipher.update(container.subarray(magic.length + saltLength)), decipher.final()])
  } catch {
    return undefined // Another key: what comes out has no padding.
  }
}

/** The packet in which `content` is. `salt`: 8 random bytes. */
export function makeContainer(content: Buffer, salt: Buffer, { key, hmacKey, hmac }: Keys): Buffer {
  const cipher = crypto.createCipheriv('aes-256-cbc', ...keyAndIv(key, salt))
  const container = Buffer.concat([magic, salt, cipher.update(content), cipher.final()])
  const text = Buffer.from(withoutEqualsSigns(container.toString('base64')).slice(prefix.length), 'latin1')
  return Buffer.concat([text, Buffer.from(hmacOf(text, hmac, hmacKey), 'latin1')])
}

function keyAndIv(key: Buffer, salt: Buffer): [key: Buffer, iv: Buffer] {
  const hashes: Buffer[] = []
  for (let i = 0; i < 3; i++) {
    const hash = crypto.createHash('md5').update(hashes[i - 1] ?? '')
    hashes.push(hash.update(key).update(salt).digest())
  }
  const bytes = Buffer.concat(hashes)
  return [bytes.subarray(0, 32), bytes.subarray(32)]
}
