/**
 * Signatures as agents, certificates and SSHSIG carry them: the type of the key, then the signature as a string. That of
 * ECDSA contains the numbers r and s, of any length up to 33 bytes (RFC 5656). A FIDO token adds its flags and counter.
 */
import { SshFormatError } from './ssh-format-error.js'
import type { SshKeyType, TokenStatement } from './public-key.js'
import { signatureLength } from './public-key.js'
import { SshReader } from './wire.js'

export interface SshSignature {
  /** 64 bytes: R and S of Ed25519, or r and s of ECDSA with 32 bytes each. */
  readonly signature: Buffer
  /** From a FIDO token. */
  readonly statement?: TokenStatement
}

/** The signature in a blob, which must be of this type of key. Throws a SshFormatError. */
export function parseSignature(blob: Buffer, type: SshKeyType): SshSignature {
  const reader = new SshReader(blob, 'the signature')
  if (reader.text() !== type) throw new SshFormatError('the signature is of another type than the key')
  const isEcdsa = type.includes('ecdsa')
  const signature = isEcdsa ? readEcdsa(reader.string()) : reader.string()
  if (signature.length !== signatureLength) throw reader.error(`has ${signature.length} bytes in place of 64`)
  const statement = type.startsWith('sk-') ? { flags: reader.uint8(), counter: reader.uint32() } : undefined
  reader.end()
  return { signature, ...(statement && { statement }) }
}

function readEcdsa(bytes: Buffer): Buffer {
  const reader = new SshReader(bytes, 'the signature')
  const numbers = [reader.unsigned(), reader.unsigned()]
  reader.end()
  const half = signatureLength / 2
  const fixed = numbers.map(number => {
    if (number.length > half) throw reader.error('has a number of more than 32 bytes')
    return Buffer.concat([Buffer.alloc(half - number.length), number])
  })
  return Buffer.concat(fixed)
}
