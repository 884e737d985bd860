/**
 * OpenSSH user certificates, as PROTOCOL.certkeys describes them: a string with the type, a nonce, the fields of the
 * public key, then
 *
 * | field            | type                                                                    |
 * | ---------------- | ----------------------------------------------------------------------- |
 * | serial           | uint64                                                                  |
 * | type             | uint32: 1 for users, 2 for hosts                                        |
 * | key id           | string                                                                  |
 * | valid principals | string of strings                                                       |
 * | valid after      | uint64, Unix seconds                                                    |
 * | valid before     | uint64, Unix seconds: the first one at which it is not valid any more   |
 * | critical options | string of pairs of strings, name and data, ordered by name              |
 * | extensions       | the same                                                                |
 * | reserved         | string, ignored                                                         |
 * | signature key    | string: the public key of the CA                                        |
 * | signature        | string: by the CA, of all that stands before                            |
 */
import { parsePrefix, prefixContains } from '../../net/index.js'
import { quote } from '../../util/index.js'
import { SshFormatError } from './ssh-format-error.js'
import type { SshPublicKey, TokenDemands } from './public-key.js'
import { keyType, parsePublicKey, readKeyFields } from './public-key.js'
import { parseSignature } from './signature.js'
import { SshReader } from './wire.js'

export interface SshCertificate {
  readonly blob: Buffer
  readonly publicKey: SshPublicKey
  /** Zero when the CA does not number its certificates. */
  readonly serial: bigint
  readonly keyId: string
  /** Names of users, or what else the CA means by them. */
  readonly principals: readonly string[]
  /** Unix seconds. */
  readonly validAfter: bigint
  /** Unix seconds: the first one at which the certificate is not valid any more. */
  readonly validBefore: bigint
  /** Data by name: of these three alone. */
  readonly criticalOptions: {
    /** For sshd; a knock runs no command. */
    readonly forceCommand?: string
    /** Prefixes, in the spelling of nft. */
    readonly sourceAddress?: readonly string[]
    /** The FIDO token must have verified its person. */
    readonly verifyRequired?: true
  }
  /** Names, known or not. */
  readonly extensions: ReadonlySet<string>
  readonly caKey: SshPublicKey
  /** Whether `caKey` has signed the certificate. Whether that CA is trusted is another question. */
  verifyCa(): boolean
  verifyCaAsync(): Promise<boolean>
}

const suffix = '-cert-v01@openssh.com'
const userType = 1
const hostType = 2
/** As in OpenSSH. */
const maxPrincipals = 256

/** A token that signs certificates need not be touched, as in OpenSSH. */
const caDemands: TokenDemands = { touch: false }

/** Throws a SshFormatError for everything but a user certificate whose critical options are all known. */
export function parseCertificate(blob: Buffer): SshCertificate {
  const reader = new SshReader(blob, 'the certificate')
  const type = keyType(certifiedType(reader.text()))
  reader.string()
  const publicKey = readKeyFields(type, reader)
  const serial = reader.uint64()
  requireUser(reader.uint32())
  const keyId = reader.text()
  const principals = readPrincipals(reader.string())
  const validAfter = reader.uint64()
  const validBefore = reader.uint64()
  if (validBefore <= validAfter) throw new SshFormatError('the certificate is never valid: it ends before it begins')
  const criticalOptions = readCriticalOptions(readOptions(reader.string()))
  const extensions = new Set(readOptions(reader.string()).keys())
  reader.string()
  const caKey = readCaKey(reader.string())
  const signed = blob.subarray(0, reader.position)
  const { signature, statement } = parseSignature(reader.string(), caKey.type)
  reader.end()
  return {
    blob,
    publicKey,
    serial,
    keyId,
    principals,
    validAfter,
    validBefore,
    criticalOptions,
    extensions,
    caKey,
    verifyCa: () => caKey.verify(signed, signature, statement, caDemands),
    verifyCaAsync: () => caKey.verifyAsync(signed, signature, statement, caDemands),
  }
}

/** Whether a key or certificate of this type name is a certificate. */
export const isCertificateType = (name: string): boolean => name.endsWith(suffix)

/** The type of key that a type of certificate certifies: those of FIDO tokens have the suffix of OpenSSH once. */
function certifiedType(name: string): string {
  if (!isCertificateType(name)) throw new SshFormatError(`${quote(name)} is not a type of certificate`)
  const plain = name.slice(0, -suffix.length)
  return plain.startsWith('sk-') ? `${plain}@openssh.com` : plain
}

function requireUser(type: number): void {
  if (type === userType) return
  const what = type === hostType ? 'is for a host, not for a user' : `is of the unknown type ${type}`
  throw new SshFormatError(`the certificate ${what}`)
}

function readPrincipals(bytes: Buffer): string[] {
  const reader = new SshReader(bytes, 'the list of principals')
  const principals: string[] = []
  while (!reader.isAtEnd) {
    if (principals.length === maxPrincipals) throw reader.error(`has more than ${maxPrincipals} names`)
    principals.push(reader.text())
  }
  return principals
}

/** Data by name. */
function readOptions(bytes: Buffer): Map<string, Buffer> {
  const reader = new SshReader(bytes, 'a list of options in the certificate')
  const options = new Map<string, Buffer>()
  let last: Buffer | undefined
  while (!reader.isAtEnd) {
    const name = reader.text()
    const spelled = Buffer.from(name)
    if (last && Buffer.compare(last, spelled) >= 0) throw reader.error(`is not in order at ${quote(name)}`)
    last = spelled
    options.set(name, reader.string())
  }
  return options
}

function readCriticalOptions(options: ReadonlyMap<string, Buffer>): SshCertificate['criticalOptions'] {
  const read: { forceCommand?: string; sourceAddress?: string[]; verifyRequired?: true } = {}
  for (const [name, data] of options) {
    const reader = new SshReader(data, `the option ${name} of the certificate`)
    switch (name) {
      case 'force-command':
        read.forceCommand = reader.text()
        break
      case 'source-address':
        read.sourceAddress = readSources(reader.text())
        break
      case 'verify-required':
        read.verifyRequired = true
        break
      default:
        throw new SshFormatError(`the certificate has the unknown critical option ${quote(name)}`)
    }
    reader.end()
  }
  return read
}

/** Addresses and prefixes with commas between them; no patterns, as in OpenSSH. */
function readSources(text: string): string[] {
  try {
    return text.split(',').map(parsePrefix)
  } catch {
    throw new SshFormatError(`the certificate has the source-address ${quote(text)}, which is not a list of prefixes`)
  }
}

function readCaKey(blob: Buffer): SshPublicKey {
  try {
    return parsePublicKey(blob)
  } catch (error) {
    if (!(error instanceof SshFormatError)) throw error
    throw new SshFormatError(`the key of the CA is not accepted: ${error.message}`)
  }
}

/** For whom, where from and when a certificate is used. */
interface CertificateUse {
  /** Unix seconds. */
  readonly now: number
  /** The address of the user. */
  readonly source: string
  /** Names of which the certificate must have one. */
  readonly principals: readonly string[]
}

type CertificateRefusal = 'certificate-not-yet-valid' | 'certificate-expired' | 'wrong-principal' | 'source-not-allowed'

/**
 * Why the certificate is of no use here; undefined if nothing speaks against it. The signatures and revocations
 * are not part of the question. A certificate without principals names no user, and is refused.
 */
export function certificateRefusal(certificate: SshCertificate, use: CertificateUse): CertificateRefusal | undefined {
  const now = BigInt(Math.floor(use.now))
  if (now < certificate.validAfter) return 'certificate-not-yet-valid'
  if (now >= certificate.validBefore) return 'certificate-expired'
  if (!certificate.principals.some(name => use.principals.includes(name))) {
    return 'wrong-principal'
  }
  const { sourceAddress } = certificate.criticalOptions
  if (sourceAddress && !sourceAddress.some(prefix => prefixContains(prefix, use.source))) {
    return 'source-not-allowed'
  }
  return undefined
}
