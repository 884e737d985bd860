/**
 * The knock of a device that has no SSH key: 160 bytes, sealed with a key of 32 bytes that the server has as well. The
 * 8 hidden bytes are a hint, HMAC-SHA-256(hint key, period), cut: by it the server finds the key among any number of them.
 *
 * Hint key: HMAC-SHA-256(key, `pkctl knock 1 hint` and the identity). The body's key: HKDF of the key, with the label
 * `symmetric` and the identity. The body is the request alone, in 96 bytes.
 */
import { SecretFormatError } from '../secret-errors.js'
import type { KnockFormat } from '../format.js'
import type { Layer, PacketPlace } from './envelope.js'
import {
  hasRightCheck,
  maskedAt,
  decryptBody,
  prefixIn,
  saltAt,
  saltLength,
  saltOf,
  sealKey,
  sealPacket,
  cipherTagLength,
  unmask,
  unmasked,
} from './envelope.js'
import { filterKeys, hmac } from './identity.js'
import type { KnockRequestBody } from './request.js'
import { decodeRequest, encodeRequest, plainRequest, wishesOf } from './request.js'
import { millisecondsOf, packetPrefix, periodAt, periodBytes, periodOf, periodSeconds } from './period.js'

export const symmetricLength = 160
const hintLength = 8
const requestLength = symmetricLength - maskedAt - hintLength - cipherTagLength

export interface SymmetricSecret {
  /** 32 bytes: the server's public key. */
  readonly identity: Buffer
  /** 32 bytes. */
  readonly key: Buffer
}

/** A key in hex after 0x, as `pkctl keygen` prints it. Throws a SecretFormatError, which does not show it. */
export function parseSymmetricKey(text: string): Buffer {
  if (/^0x[0-9a-f]{64}$/i.test(text)) return Buffer.from(text.slice(2), 'hex')
  throw new SecretFormatError('a symmetric key is 32 bytes, written as 64 hex digits after 0x')
}

/** Each is used once in every period. */
const hintKeys = new WeakMap<SymmetricSecret, Buffer>()

function hintKeyOf(secret: SymmetricSecret): Buffer {
  const known = hintKeys.get(secret)
  if (known) return known
  const made = hmac(secret.key, Buffer.from('pkctl knock 1 hint'), secret.identity)
  hintKeys.set(secret, made)
  return made
}

const hintOf = (secret: SymmetricSecret, period: bigint) =>
  hmac(hintKeyOf(secret), periodBytes(period)).subarray(0, hintLength)

const bodyKey = ({ identity, key }: SymmetricSecret, salt: Buffer) => sealKey(key, salt, 'symmetric', identity)

/** What the packet asks for, or the check that refuses it. The time is not compared with a clock. */
export function decryptSymmetric(place: PacketPlace, secret: SymmetricSecret): KnockRequestBody | Layer {
  const keys = filterKeys(secret.identity)
  if (!hasRightCheck(keys, place)) return 'check'
  const body = decryptBody(bodyKey(secret, saltOf(place)), place, hintLength)
  if (!body) return 'seal'
  const request = decodeRequest(body, 0, requestLength)
  if (!request) return 'request'
  // The period is that of the time: a second spelling of it is refused.
  const period = periodOf(request.time)
  if (!packetPrefix(keys, period).equals(prefixIn(place))) return 'period'
  return hintOf(secret, period).equals(unmasked(keys, place, hintLength)) ? request : 'hint'
}

/** The packet; undefined where the request does not fit. */
export function sealSymmetric(
  request: KnockRequestBody,
  port: number,
  salt: Buffer,
  secret: SymmetricSecret,
): Buffer | undefined {
  const body = encodeRequest(request, requestLength)
  if (!body) return undefined
  const keys = filterKeys(secret.identity)
  const period = periodOf(request.time)
  const [prefix, hidden, key] = [packetPrefix(keys, period), hintOf(secret, period), bodyKey(secret, salt)]
  return sealPacket({ keys, prefix, salt, hidden, key, body, port })
}

// One buffer for all packets: most of them are forged.
const shownHint = Buffer.alloc(hintLength)

export const symmetric: KnockFormat<SymmetricSecret> = {
  id: 'symmetric',
  payloadLength: symmetricLength,
  carriesAddress: false,
  secretOf: ({ identity, key }) => ({ identity: Buffer.from(identity), key: Buffer.from(key) }),
  identityOf: ({ identity, key }) => Buffer.concat([Buffer.from('symmetric '), identity, key]),
  firstWord: ({ identity }, time) => packetPrefix(filterKeys(identity), periodAt(time)).readUInt32BE(0),
  rotation: {
    periodSeconds,
    secondWord: ({ identity }, time) => packetPrefix(filterKeys(identity), periodAt(time)).readUInt32BE(4),
    hintIn(bytes, at, { identity }) {
      unmask(filterKeys(identity), bytes, at, shownHint)
      return shownHint.toString('latin1')
    },
    hintOf: (secret, time) => hintOf(secret, periodAt(time)).toString('latin1'),
  },
  verify(bytes, at, port, secret) {
    const request = decryptSymmetric({ bytes, at, length: symmetricLength, port }, secret)
    if (typeof request === 'string') return undefined
    const knock = { time: Number(request.time / 1000n), digestAt: at + saltAt }
    return isPlain(request) ? knock : { ...knock, wishes: wishesOf(request) }
  },
  encode({ port, time, random }, secret) {
    const packet = sealSymmetric(plainRequest(millisecondsOf(time)), port, random(saltLength), secret)
    if (!packet) throw new Error('a plain request fits')
    return packet
  },
}

const isPlain = ({ close, window, prefix, other, host, services }: KnockRequestBody) =>
  !close && window === null && prefix === null && other === null && host === null && services.length === 0
