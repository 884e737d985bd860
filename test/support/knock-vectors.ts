/** Vectors of pkctl's own knock: what a file of them has, and what a receiver makes of one. */
import * as crypto from 'node:crypto'
import * as fs from 'node:fs'
import path from 'node:path'
import type { Layer, PacketPlace } from '../../src/knock/pk1/envelope.js'
import { hasRightCheck, prefixIn, unmasked } from '../../src/knock/pk1/envelope.js'
import { filterKeys } from '../../src/knock/pk1/identity.js'
import type { KnockRequestBody } from '../../src/knock/pk1/request.js'
import type { ServerKey, SignedKnock } from '../../src/knock/pk1/signed.js'
import {
  certificatePacketLength,
  keyPacketLength,
  decryptSigned,
  signatureNamespace,
} from '../../src/knock/pk1/signed.js'
import { decryptSymmetric, symmetric, symmetricLength } from '../../src/knock/pk1/symmetric.js'
import { packetPrefix } from '../../src/knock/pk1/period.js'
import { root } from './commands.js'

/** What refuses it: those of `Layer`, and what comes before and after it. */
export type VectorLayer = Layer | 'size' | 'prefix' | 'time' | 'signature'

export interface KnockVector {
  /** Begins with the outcome: `accepted: …`, or what refuses it: `check: …`. */
  readonly name: string
  readonly port: number
  /** Unix milliseconds at which it arrives. */
  readonly now: number
  /** Hex. */
  readonly payload: string
  /** Of an accepted one. */
  readonly request?: object
  /** The user of an accepted one. */
  readonly user?: string
}

export interface KnockVectors {
  readonly about: string
  readonly server: { readonly identity: string; readonly privateKey: string }
  /** Keys of 32 bytes, in hex, by the name of the user. */
  readonly symmetric: Readonly<Record<string, string>>
  /** Lines of public keys, by the name of the user. */
  readonly ssh: Readonly<Record<string, string>>
  readonly cases: readonly KnockVector[]
}

export const knockVectorsFile = path.join(root, 'test/vectors/knock/vectors.json')
export const readKnockVectors = (): KnockVectors =>
  JSON.parse(fs.readFileSync(knockVectorsFile, 'utf8')) as KnockVectors

/** Seconds either way. */
const skew = 10

export interface Receiver {
  readonly server: ServerKey
  readonly symmetric: ReadonlyMap<string, Buffer>
  /** By name: the blob, and how its signatures are verified. */
  readonly ssh: ReadonlyMap<string, SshUser>
}

interface SshUser {
  readonly fingerprint: Buffer
  verify(message: Buffer, signature: Buffer): boolean
}

export function receiverOf({ server, symmetric, ssh }: KnockVectors): Receiver {
  const hex = (text: string) => Buffer.from(text, 'hex')
  return {
    server: {
      identity: Buffer.from(server.identity.slice('pk1:'.length), 'base64url'),
      privateKey: hex(server.privateKey),
    },
    symmetric: new Map(Object.entries(symmetric).map(([name, key]) => [name, hex(key)])),
    ssh: new Map(Object.entries(ssh).map(([name, line]) => [name, sshUser(line)])),
  }
}

const spkiHeads = {
  'ssh-ed25519': '302a300506032b6570032100',
  'ecdsa-sha2-nistp256': '3059301306072a8648ce3d020106082a8648ce3d030107034200',
} as const

/** A second reader of public keys, of these two types alone. */
function sshUser(line: string): SshUser {
  const [type = '', base64 = ''] = line.split(' ')
  const blob = Buffer.from(base64, 'base64')
  const point = blob.subarray(type === 'ssh-ed25519' ? -32 : -65)
  const head = Buffer.from(spkiHeads[type as keyof typeof spkiHeads], 'hex')
  const key = crypto.createPublicKey({ key: Buffer.concat([head, point]), format: 'der', type: 'spki' })
  const digest = type === 'ssh-ed25519' ? null : 'sha256'
  return {
    fingerprint: crypto.createHash('sha256').update(blob).digest(),
    verify: (message, signature) =>
      crypto.verify(digest, sshsig(message), { key, dsaEncoding: 'ieee-p1363' }, signature),
  }
}

const sshString = (bytes: Buffer | string) => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, Buffer.from(bytes as string)])
}

/** What is signed in place of the message: PROTOCOL.sshsig of OpenSSH. */
export function sshsig(message: Buffer): Buffer {
  const hash = crypto.createHash('sha512').update(message).digest()
  const parts = [signatureNamespace, '', 'sha512', hash].map(sshString)
  return Buffer.concat([Buffer.from('SSHSIG'), ...parts])
}

type Judged =
  | { readonly layer: VectorLayer; readonly signed?: SignedKnock }
  | { readonly user: string; readonly request: KnockRequestBody; readonly signed?: SignedKnock }

/** The whole receiver, in the order of docs/protocol.md, without replays. */
export function judgeVector({ port, now, payload }: KnockVector, receiver: Receiver): Judged {
  const bytes = Buffer.from(payload, 'hex')
  const { length } = bytes
  if (![symmetricLength, keyPacketLength, certificatePacketLength].includes(length)) return { layer: 'size' }
  const place: PacketPlace = { bytes, at: 0, length, port }
  const keys = filterKeys(receiver.server.identity)
  const present = BigInt(Math.floor(now / 30_000))
  const windows = [present - 1n, present, present + 1n].filter(window => window >= 0n)
  const window = windows.find(each => packetPrefix(keys, each).equals(prefixIn(place)))
  if (window === undefined) return { layer: 'prefix' }
  if (!hasRightCheck(keys, place)) return { layer: 'check' }
  const judged = length === symmetricLength ? judgeSymmetric(place, window, receiver) : judgeSigned(place, receiver)
  if ('layer' in judged) return judged
  return Math.abs(Number(judged.request.time) - now) > skew * 1000 ? { ...judged, layer: 'time' } : judged
}

function judgeSymmetric(place: PacketPlace, window: bigint, receiver: Receiver): Judged {
  const { identity } = receiver.server
  const hint = unmasked(filterKeys(identity), place, 8).toString('latin1')
  const found = [...receiver.symmetric].find(
    ([, key]) => symmetric.rotation?.hintOf({ identity, key }, Number(window) * 30) === hint,
  )
  if (!found) return { layer: 'hint' }
  const [user, key] = found
  const request = decryptSymmetric(place, { identity, key })
  return typeof request === 'string' ? { layer: request } : { user, request }
}

function judgeSigned(place: PacketPlace, receiver: Receiver): Judged {
  const signed = decryptSigned(place, receiver.server)
  if (typeof signed === 'string') return { layer: signed }
  const { signer, message, flags, counter, signature, request } = signed
  if (!('fingerprint' in signer)) return { layer: 'signer', signed }
  const found = [...receiver.ssh].find(([, { fingerprint }]) => fingerprint.equals(signer.fingerprint))
  if (!found) return { layer: 'signer', signed }
  const [user, key] = found
  const right = flags === 0 && counter === 0 && key.verify(message, signature)
  return right ? { user, request, signed } : { layer: 'signature', signed }
}
