/**
 * The knock that an OpenSSH key signs: 256 bytes with a plain key, 1024 with a certificate. The 32 hidden bytes are the
 * ephemeral X25519 key of this knock. The body's key: HKDF of what it has in common with the server's key, with the label
 * `signed`, the identity and the ephemeral key.
 *
 * | offset | size     | field of the body                                                                   |
 * | ------ | -------- | ----------------------------------------------------------------------------------- |
 * | 0      | 67       | request                                                                             |
 * | 67     | 32       | with a plain key: SHA-256 of the public key's blob, the fingerprint that ssh-keygen prints |
 * | 67     | 2 + 798  | with a certificate: length of its blob, the blob, and zeros                         |
 * | −69    | 1 + 4    | flags and counter of a FIDO key's signature; zero for other keys                    |
 * | −64    | 64       | signature: Ed25519 as it is; of ECDSA with P-256, r and s of 32 bytes each          |
 *
 * The signature is one of OpenSSH's SSHSIG, whose namespace is `knock@pkctl` and whose hash is SHA-512, over the message:
 * `pkctl knock 1 message`, identity (32), port (2), prefix (8), salt (16), ephemeral key (32), and the body up to flags and
 * counter.
 */
import type { Layer, PacketPlace } from './envelope.js'
import {
  hasRightCheck,
  maskedAt,
  decryptBody,
  prefixIn,
  saltOf,
  sealKey,
  sealPacket,
  cipherTagLength,
  unmasked,
} from './envelope.js'
import { filterKeys } from './identity.js'
import type { KnockRequestBody } from './request.js'
import { decodeRequest, encodeRequest } from './request.js'
import { packetPrefix, periodAt, periodOf } from './period.js'
import { lastingKey, passingKey, publicHalf, publicHalfOf, sharedSecret } from './x25519.js'

export const keyPacketLength = 256
export const certificatePacketLength = 1024
export const signatureNamespace = 'knock@pkctl'

const ephemeralLength = 32
const requestLength = 67
const fingerprintLength = 32
const signatureLength = 64
const proofLength = 5 + signatureLength
const messageLabel = Buffer.from('pkctl knock 1 message')

const bodyLengthOf = (packetLength: number) => packetLength - maskedAt - ephemeralLength - cipherTagLength

/** Who signs: a key that the server knows, by its fingerprint, or a certificate. */
export type Signer = { readonly fingerprint: Buffer } | { readonly certificate: Buffer }

/** A knock that is decrypted, and whose signature is to be verified. */
export interface SignedKnock {
  readonly request: KnockRequestBody
  readonly signer: Signer
  /** What is signed, before SSHSIG. */
  readonly message: Buffer
  /** Of a FIDO key; both 0 for other keys, which must be checked with the key. */
  readonly flags: number
  readonly counter: number
  readonly signature: Buffer
}

/** A server's key pair. */
export interface ServerKey {
  readonly identity: Buffer
  /** 32 bytes. */
  readonly privateKey: Buffer
}

export function newServerKey(random: (size: number) => Buffer): ServerKey {
  const privateKey = random(ephemeralLength)
  return { privateKey, identity: publicHalf(privateKey) }
}

/** What a signed packet looks like before it is decrypted, at this time in Unix seconds; inside there are random bytes. */
export function shapeOfSigned(identity: Buffer, time: number, port: number, random: (size: number) => Buffer): Buffer {
  const keys = filterKeys(identity)
  const prefix = packetPrefix(keys, periodAt(time))
  const body = random(keyPacketLength - maskedAt - ephemeralLength - cipherTagLength)
  return sealPacket({ keys, prefix, salt: random(16), hidden: random(ephemeralLength), key: random(32), body, port })
}

/** What the packet says, or the check that refuses it. Neither the time nor the signature is verified here. */
export function decryptSigned(place: PacketPlace, { identity, privateKey }: ServerKey): SignedKnock | Layer {
  const keys = filterKeys(identity)
  if (!hasRightCheck(keys, place)) return 'check'
  const ephemeral = unmasked(keys, place, ephemeralLength)
  // The highest bit means nothing to X25519: a second spelling.
  if (((ephemeral[ephemeralLength - 1] as number) & 0x80) !== 0) return 'ephemeral'
  const shared = sharedSecret(lastingKey(privateKey), ephemeral)
  if (!shared) return 'ephemeral'
  const salt = saltOf(place)
  const body = decryptBody(bodyKey(shared, salt, identity, ephemeral), place, ephemeralLength)
  if (!body) return 'seal'
  const request = decodeRequest(body, 0, requestLength)
  if (!request) return 'request'
  if (!packetPrefix(keys, periodOf(request.time)).equals(prefixIn(place))) return 'period'
  const proofAt = body.length - proofLength
  const signer = readSigner(body.subarray(requestLength, proofAt))
  if (!signer) return 'signer'
  return {
    request,
    signer,
    message: messageOf(identity, place, ephemeral, body.subarray(0, proofAt)),
    flags: body[proofAt] as number,
    counter: body.readUInt32BE(proofAt + 1),
    signature: body.subarray(proofAt + 5),
  }
}

const bodyKey = (shared: Buffer, salt: Buffer, identity: Buffer, ephemeral: Buffer) =>
  sealKey(shared, salt, 'signed', Buffer.concat([identity, ephemeral]))

function readSigner(bytes: Buffer): Signer | undefined {
  if (bytes.length === fingerprintLength) return { fingerprint: bytes }
  const length = bytes.readUInt16BE(0)
  const end = 2 + length
  if (length === 0 || end > bytes.length || bytes.subarray(end).some(byte => byte !== 0)) return undefined
  return { certificate: bytes.subarray(2, end) }
}

function writeSigner(signer: Signer): Buffer | undefined {
  if ('fingerprint' in signer) return signer.fingerprint
  const room = bodyLengthOf(certificatePacketLength) - requestLength - proofLength
  const { certificate } = signer
  if (certificate.length === 0 || 2 + certificate.length > room) return undefined
  const length = Buffer.alloc(2)
  length.writeUInt16BE(certificate.length)
  return Buffer.concat([length, certificate], room)
}

function messageOf(identity: Buffer, { port, ...place }: PacketPlace, ephemeral: Buffer, body: Buffer): Buffer {
  const portBytes = Buffer.alloc(2)
  portBytes.writeUInt16BE(port)
  const whole = { ...place, port }
  return Buffer.concat([messageLabel, identity, portBytes, prefixIn(whole), saltOf(whole), ephemeral, body])
}

/** What is signed, and how the packet is made of it when it is. */
interface UnsignedKnock {
  readonly message: Buffer
  seal(signature: Buffer, flags?: number, counter?: number): Buffer
}

/** Of a knock by `signer` at the server with this identity; undefined where request or certificate do not fit. */
export function draftSigned(
  request: KnockRequestBody,
  signer: Signer,
  identity: Buffer,
  port: number,
  random: (size: number) => Buffer,
): UnsignedKnock | undefined {
  const [asked, who] = [encodeRequest(request, requestLength), writeSigner(signer)]
  const salt = Buffer.from(random(16))
  const own = passingKey(Buffer.from(random(ephemeralLength)))
  const shared = sharedSecret(own, identity)
  if (!asked || !who || !shared) return undefined
  const ephemeral = publicHalfOf(own)
  const keys = filterKeys(identity)
  const prefix = packetPrefix(keys, periodOf(request.time))
  const body = Buffer.concat([asked, who])
  const head = Buffer.concat([prefix, salt])
  const key = bodyKey(shared, salt, identity, ephemeral)
  return {
    message: messageOf(identity, { bytes: head, at: 0, length: head.length, port }, ephemeral, body),
    seal(signature, flags = 0, counter = 0) {
      const proof = Buffer.alloc(proofLength)
      proof[0] = flags
      proof.writeUInt32BE(counter, 1)
      signature.copy(proof, 5)
      return sealPacket({ keys, prefix, salt, hidden: ephemeral, key, body: Buffer.concat([body, proof]), port })
    },
  }
}
