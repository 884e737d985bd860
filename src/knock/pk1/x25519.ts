/** X25519 (RFC 7748) with keys as 32 raw bytes; Node has them in DER (RFC 8410). */
import type { KeyObject } from 'node:crypto'
import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto'

const privateStart = Buffer.from('302e020100300506032b656e04220420', 'hex')
const publicStart = Buffer.from('302a300506032b656e032100', 'hex')

const privateKey = (raw: Buffer): KeyObject =>
  createPrivateKey({ key: Buffer.concat([privateStart, raw]), format: 'der', type: 'pkcs8' })

/** The public half of 32 random bytes. */
export const publicHalf = (raw: Buffer): Buffer =>
  createPublicKey(privateKey(raw)).export({ format: 'der', type: 'spki' }).subarray(publicStart.length)

const known = new Map<string, KeyObject>()
const maxKnown = 64

/** A key of this machine, which is used again and again. */
export function lastingKey(raw: Buffer): KeyObject {
  const name = raw.toString('latin1')
  const found = known.get(name)
  if (found) return found
  const key = privateKey(raw)
  if (known.size >= maxKnown) known.clear()
  known.set(name, key)
  return key
}

export const passingKey = privateKey

/** The shared secret; undefined for a public key that gives the same one to everyone (RFC 7748, section 6.1). */
export function sharedSecret(own: KeyObject, other: Buffer): Buffer | undefined {
  try {
    const publicKey = createPublicKey({ key: Buffer.concat([publicStart, other]), format: 'der', type: 'spki' })
    return diffieHellman({ privateKey: own, publicKey })
  } catch {
    return undefined
  }
}
