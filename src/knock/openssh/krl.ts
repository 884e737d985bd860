/**
 * Key revocation lists of OpenSSH (PROTOCOL.krl): the magic "SSHKRL\n\0", uint32 format version 1, uint64 version of the
 * list, uint64 date, uint64 flags (none are defined), two strings (reserved, comment), then sections: a byte with the
 * kind, and a string.
 *
 * | section | contents                                                                              |
 * | ------- | ------------------------------------------------------------------------------------- |
 * | 1       | certificates of a CA: its key or an empty string for all CAs, a reserved string, then |
 * |         | subsections: serial numbers (0x20 list, 0x21 range, 0x22 bitmap), 0x23 key ids        |
 * | 2       | keys, as strings                                                                      |
 * | 3, 5    | SHA-1 and SHA-256 hashes of keys, as strings                                          |
 * | 4       | a signature, which OpenSSH never made and refuses since version 9.4                   |
 * | 255     | an extension, as 0x39 is among the subsections: name, whether critical, contents      |
 */
import * as crypto from 'node:crypto'
import type { Steps } from '../../util/index.js'
import { quote } from '../../util/index.js'
import type { SshCertificate } from './certificate.js'
import { isCertificateType } from './certificate.js'
import { SshFormatError } from './ssh-format-error.js'
import type { SshPublicKey } from './public-key.js'
import type { RevocationList } from './revocation-list.js'
import { SshReader } from './wire.js'

const magic = Buffer.from('SSHKRL\n\0')
const formatVersion = 1

const sections = { certificates: 1, keys: 2, sha1: 3, signature: 4, sha256: 5, extension: 255 } as const
const subsections = { list: 0x20, range: 0x21, bitmap: 0x22, keyIds: 0x23, extension: 0x39 } as const
const hashLengths = { sha1: 20, sha256: 32 } as const
const maxSerial = 2n ** 64n - 1n

export const isKrl = (file: Buffer): boolean => file.subarray(0, magic.length).equals(magic)

/** Entry by entry. Throws a SshFormatError. */
export function* readKrl(file: Buffer): Steps<RevocationList> {
  const reader = new SshReader(file, what)
  reader.take(magic.length)
  if (reader.uint32() !== formatVersion) throw reader.error('has an unknown version')
  reader.uint64()
  reader.uint64()
  if (reader.uint64() !== 0n) throw reader.error('has unknown flags')
  reader.string()
  reader.string()
  const krl = new Krl()
  while (!reader.isAtEnd) yield* krl.add(reader.uint8(), new SshReader(reader.string(), what))
  return krl
}

const what = 'the key revocation list'

class Krl implements RevocationList {
  readonly #blobs = new Set<string>()
  readonly #hashes = { sha1: new Set<string>(), sha256: new Set<string>() }
  /** By the blob of the CA's key; empty for all CAs. */
  readonly #certificates = new Map<string, RevokedCertificates>();

  *add(section: number, contents: SshReader): Steps<void> {
    switch (section) {
      case sections.certificates:
        yield* this.#addCertificates(contents)
        return
      case sections.keys:
        yield* eachString(contents, blob => {
          requireKey(blob)
          this.#blobs.add(keyOf(blob))
        })
        return
      case sections.sha1:
        yield* this.#addHashes('sha1', contents)
        return
      case sections.sha256:
        yield* this.#addHashes('sha256', contents)
        return
      case sections.signature:
        throw contents.error('is signed within, which is not supported, as in OpenSSH since version 9.4')
      case sections.extension:
        skipExtension(contents)
        return
      default:
        throw contents.error(`has a section of the unknown kind ${section}`)
    }
  }

  hasKey = ({ blob, fingerprint }: SshPublicKey): boolean =>
    this.#blobs.has(keyOf(blob)) ||
    this.#hashes.sha256.has(keyOf(fingerprint)) ||
    (this.#hashes.sha1.size > 0 && this.#hashes.sha1.has(keyOf(crypto.createHash('sha1').update(blob).digest())))

  hasCertificate = (certificate: SshCertificate): boolean =>
    [certificate.caKey.blob, anyCa].some(ca => this.#certificates.get(keyOf(ca))?.has(certificate) === true);

  *#addCertificates(contents: SshReader): Steps<void> {
    const ca = contents.string()
    if (ca.length > 0) requireKey(ca)
    contents.string()
    const revoked = this.#certificates.get(keyOf(ca)) ?? new RevokedCertificates()
    this.#certificates.set(keyOf(ca), revoked)
    while (!contents.isAtEnd) yield* revoked.add(contents.uint8(), new SshReader(contents.string(), what))
  }

  *#addHashes(algorithm: keyof typeof hashLengths, contents: SshReader): Steps<void> {
    yield* eachString(contents, hash => {
      if (hash.length !== hashLengths[algorithm]) throw contents.error(`has a ${algorithm} hash of another length`)
      this.#hashes[algorithm].add(keyOf(hash))
    })
  }
}

const anyCa = Buffer.alloc(0)

/** Certificates of one CA, or of all. */
class RevokedCertificates {
  readonly #keyIds = new Set<string>()
  readonly #serials = new Set<bigint>()
  readonly #ranges: { readonly first: bigint; readonly last: bigint }[] = []
  readonly #bitmaps: { readonly first: bigint; readonly bits: Buffer }[] = [];

  *add(subsection: number, contents: SshReader): Steps<void> {
    yield
    switch (subsection) {
      case subsections.list:
        yield* each(contents, () => this.#serials.add(contents.uint64()))
        return
      case subsections.range:
        this.#addRange(contents)
        return
      case subsections.bitmap:
        this.#addBitmap(contents)
        return
      case subsections.keyIds:
        yield* each(contents, () => this.#keyIds.add(contents.text()))
        return
      case subsections.extension:
        skipExtension(contents)
        return
      default:
        throw contents.error(`has a subsection of the unknown kind ${subsection}`)
    }
  }

  has({ keyId, serial }: SshCertificate): boolean {
    if (this.#keyIds.has(keyId)) return true
    // Zero is what a CA gives that does not number its certificates.
    if (serial === 0n) return false
    return (
      this.#serials.has(serial) ||
      this.#ranges.some(({ first, last }) => serial >= first && serial <= last) ||
      this.#bitmaps.some(({ first, bits }) => hasBit(bits, serial - first))
    )
  }

  #addRange(contents: SshReader): void {
    const first = contents.uint64()
    const last = contents.uint64()
    contents.end()
    if (last < first) throw contents.error('has a range of serial numbers that ends before it begins')
    this.#ranges.push({ first, last })
  }

  #addBitmap(contents: SshReader): void {
    const first = contents.uint64()
    const bits = contents.unsigned()
    contents.end()
    if (first + BigInt(bits.length) * 8n - 1n - BigInt(Math.clz32(bits[0] ?? 0) - 24) > maxSerial) {
      throw contents.error('has a bitmap beyond the last serial number')
    }
    this.#bitmaps.push({ first, bits })
  }
}

/** Whether bit `index`, from the end of the bytes, is set. */
function hasBit(bits: Buffer, index: bigint): boolean {
  if (index < 0n || index >= BigInt(bits.length) * 8n) return false
  const at = Number(index)
  const byte = bits[bits.length - 1 - (at >> 3)] ?? 0
  return ((byte >> (at & 7)) & 1) === 1
}

function* each(contents: SshReader, take: () => unknown): Steps<void> {
  while (!contents.isAtEnd) {
    yield
    take()
  }
}

const eachString = (contents: SshReader, take: (bytes: Buffer) => void): Steps<void> =>
  each(contents, () => {
    take(contents.string())
  })

/** A public key of any type: those that sign no knocks can be revoked, too. */
function requireKey(blob: Buffer): void {
  const type = new SshReader(blob, 'a key in the key revocation list').text()
  if (isCertificateType(type)) throw new SshFormatError(`${what} has a certificate in place of a key`)
}

function skipExtension(contents: SshReader): void {
  const name = contents.text()
  const isCritical = contents.boolean()
  contents.string()
  contents.end()
  if (isCritical) throw contents.error(`has the unknown critical extension ${quote(name)}`)
}

/** Bytes as the key of a set. */
const keyOf = (bytes: Buffer) => bytes.toString('latin1')
