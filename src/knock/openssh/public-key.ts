/**
 * Public keys of OpenSSH, and the signatures made with them.
 *
 * A key is accepted as Ed25519 or ECDSA on P-256, each of them also in a FIDO token ("sk-"). The blob begins with the
 * string of the type:
 *
 * | type                               | fields after it (strings)                                     |
 * | ---------------------------------- | ------------------------------------------------------------- |
 * | ssh-ed25519                        | the 32 bytes of RFC 8032                                      |
 * | ecdsa-sha2-nistp256                | "nistp256", the uncompressed point of 65 bytes (RFC 5656)     |
 * | sk-ssh-ed25519@openssh.com         | the 32 bytes, the application                                 |
 * | sk-ecdsa-sha2-nistp256@openssh.com | "nistp256", the point, the application                        |
 *
 * A signature has 64 bytes: R and S of Ed25519, or r and s of ECDSA with 32 bytes each. A FIDO token does not sign the
 * data itself, but (PROTOCOL.u2f): SHA-256 of the application, a byte of flags, a counter of 4 bytes, SHA-256 of the data.
 */
import * as crypto from 'node:crypto'
import { quote } from '../../util/index.js'
import { SshFormatError } from './ssh-format-error.js'
import { isOnP256 } from './p256.js'
import { SshReader, sshString } from './wire.js'

export type SshKeyType = keyof typeof keyTypes

interface KeyTraits {
  readonly curve: 'ed25519' | 'p256'
  /** Whether the private key is in a FIDO token. */
  readonly isToken: boolean
}

const keyTypes = {
  'ssh-ed25519': { curve: 'ed25519', isToken: false },
  'ecdsa-sha2-nistp256': { curve: 'p256', isToken: false },
  'sk-ssh-ed25519@openssh.com': { curve: 'ed25519', isToken: true },
  'sk-ecdsa-sha2-nistp256@openssh.com': { curve: 'p256', isToken: true },
} as const satisfies Record<string, KeyTraits>

export const signatureLength = 64
const ed25519Length = 32
const coordinateLength = 32
const pointLength = 1 + 2 * coordinateLength
const uncompressed = 4

/** What a FIDO token says of a signature, and signs with it. */
export interface TokenStatement {
  /** Bit 0: a person has touched the token. Bit 2: the token has verified the person, for example by a PIN. */
  readonly flags: number
  /** How many signatures the token has made. 32 bits. */
  readonly counter: number
}

/** What the signature of a FIDO token must say. */
export interface TokenDemands {
  /** A person has touched the token. Default: true. */
  readonly touch?: boolean
  /** The token has verified the person. Default: false. */
  readonly verification?: boolean
}

const touched = 0x01
const verified = 0x04

export interface SshPublicKey {
  readonly type: SshKeyType
  /** The key as a file of OpenSSH has it in base64. */
  readonly blob: Buffer
  /** SHA-256 of the blob, 32 bytes. */
  readonly fingerprint: Buffer
  /** Whether the private key is in a FIDO token: its signatures come with a statement, and no others do. */
  readonly isToken: boolean
  /** Whether the 64 bytes are a signature of the data by this key. Never throws. */
  verify(data: Buffer, signature: Buffer, statement?: TokenStatement, demands?: TokenDemands): boolean
  /** The same, computed on a thread of libuv's pool. Never rejects. */
  verifyAsync(data: Buffer, signature: Buffer, statement?: TokenStatement, demands?: TokenDemands): Promise<boolean>
}

/** Throws a SshFormatError for a key that is not accepted, with the reason. */
export function parsePublicKey(blob: Buffer): SshPublicKey {
  const reader = new SshReader(blob, 'the public key')
  const key = readKeyFields(keyType(reader.text()), reader)
  reader.end()
  return key
}

/** The type of that name. Throws for one that is not accepted. */
export function keyType(name: string): SshKeyType {
  if (Object.hasOwn(keyTypes, name)) return name as SshKeyType
  throw new SshFormatError(refusalOf(name))
}

const accepted = 'use an Ed25519 or ECDSA P-256 key'

function refusalOf(name: string): string {
  if (/-cert-v\d\d@openssh\.com$/.test(name)) return `${quote(name)} is a certificate, not a public key`
  if (/^(?:ssh-rsa|rsa-sha2-)/.test(name)) return `an RSA key does not fit into a knock; ${accepted}`
  if (name === 'ssh-dss') return `DSA keys are not secure; ${accepted}`
  return `keys of type ${quote(name)} are not supported; ${accepted}`
}

/** Reads what follows the type in the blob of a key, and in a certificate after its nonce. */
export function readKeyFields(type: SshKeyType, reader: SshReader): SshPublicKey {
  const { curve, isToken } = keyTypes[type]
  const start = reader.position
  const point = curve === 'ed25519' ? readEd25519(reader) : readP256(reader)
  const application = isToken ? Buffer.from(reader.text()) : undefined
  const blob = Buffer.concat([sshString(type), reader.bytes.subarray(start, reader.position)])
  // A key of Ed25519 is any 32 bytes: RFC 8032 has no check but that of the signature.
  if (curve === 'p256' && !isOnP256(point)) throw reader.error('has a point that is not on its curve')
  return new PublicKey(type, blob, point, application)
}

function readEd25519(reader: SshReader): Buffer {
  const point = reader.string()
  if (point.length !== ed25519Length) throw reader.error(`has ${point.length} bytes in place of ${ed25519Length}`)
  return point
}

function readP256(reader: SshReader): Buffer {
  const curve = reader.text()
  if (curve !== 'nistp256') throw reader.error(`has the curve ${quote(curve)} in place of 'nistp256'`)
  const point = reader.string()
  if (point.length !== pointLength || point[0] !== uncompressed) throw reader.error('has no uncompressed point')
  return point
}

/** Node reads a JWK (RFC 7518, RFC 8037) faster than DER, and each knock with a certificate has a key of its own. */
function keyObject(curve: KeyTraits['curve'], point: Buffer): crypto.KeyObject {
  const part = (from: number, to?: number) => point.toString('base64url', from, to)
  const half = coordinateLength + 1
  const key =
    curve === 'ed25519'
      ? { kty: 'OKP', crv: 'Ed25519', x: part(0) }
      : { kty: 'EC', crv: 'P-256', x: part(1, half), y: part(half) }
  return crypto.createPublicKey({ key, format: 'jwk' })
}

class PublicKey implements SshPublicKey {
  readonly fingerprint: Buffer
  readonly isToken: boolean
  readonly #digest: 'sha256' | null
  readonly #point: Buffer
  /** Made at the first signature: of many thousand keys, few sign. */
  #key: crypto.VerifyKeyObjectInput | undefined
  readonly #applicationHash: Buffer | undefined

  constructor(
    readonly type: SshKeyType,
    readonly blob: Buffer,
    point: Buffer,
    application: Buffer | undefined,
  ) {
    this.fingerprint = sha256(blob)
    this.isToken = application !== undefined
    this.#digest = keyTypes[type].curve === 'p256' ? 'sha256' : null
    this.#point = point
    this.#applicationHash = application && sha256(application)
  }

  verify(data: Buffer, signature: Buffer, statement?: TokenStatement, demands: TokenDemands = {}): boolean {
    const signed = this.#signed(data, signature, statement, demands)
    if (signed === undefined) return false
    try {
      return crypto.verify(this.#digest, signed, this.#verifyKey(), signature)
    } catch {
      return false
    }
  }

  verifyAsync(
    data: Buffer,
    signature: Buffer,
    statement?: TokenStatement,
    demands: TokenDemands = {},
  ): Promise<boolean> {
    const signed = this.#signed(data, signature, statement, demands)
    if (signed === undefined) return Promise.resolve(false)
    return new Promise(resolve => {
      try {
        crypto.verify(this.#digest, signed, this.#verifyKey(), signature, (error, isValid) =>
          resolve(!error && isValid),
        )
      } catch {
        resolve(false)
      }
    })
  }

  #verifyKey(): crypto.VerifyKeyObjectInput {
    const { curve } = keyTypes[this.type]
    return (this.#key ??= { key: keyObject(curve, this.#point), dsaEncoding: 'ieee-p1363' })
  }

  /** What the key signs to sign the data; undefined when no such signature is accepted. */
  #signed(
    data: Buffer,
    signature: Buffer,
    statement: TokenStatement | undefined,
    { touch = true, verification = false }: TokenDemands,
  ): Buffer | undefined {
    if (signature.length !== signatureLength) return undefined
    if (this.#applicationHash === undefined) return statement === undefined ? data : undefined
    if (statement === undefined) return undefined
    const { flags, counter } = statement
    if (touch && (flags & touched) === 0) return undefined
    if (verification && (flags & verified) === 0) return undefined
    const said = Buffer.alloc(5)
    said.writeUInt8(flags & 0xff)
    said.writeUInt32BE(counter >>> 0, 1)
    return Buffer.concat([this.#applicationHash, said, sha256(data)])
  }
}

const sha256 = (bytes: Buffer) => crypto.createHash('sha256').update(bytes).digest()
