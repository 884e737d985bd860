/**
 * Whether a key or certificate is revoked by a file of `revoked-keys`, the front of this folder for revocation: a key revocation
 * list of OpenSSH (krl.ts reads it), or public keys in text, one on each line (read here).
 *
 * As in sshd, a certificate is revoked together with its key, and with the key of its CA.
 */
import type { Steps } from '../../util/index.js'
import { decodeText, inOnePiece } from '../../util/index.js'
import type { SshCertificate } from './certificate.js'
import { isCertificateType, parseCertificate } from './certificate.js'
import { SshFormatError } from './ssh-format-error.js'
import { readKeyText } from './key-text.js'
import { isKrl, readKrl } from './krl.js'
import type { SshPublicKey } from './public-key.js'
import type { RevocationList } from './revocation-list.js'

export interface Revocations {
  isRevoked(subject: SshPublicKey | SshCertificate): boolean
}

/** Throws a SshFormatError: a list that cannot be read as a whole revokes what is not known. */
export const parseRevocations = (file: Buffer): Revocations => inOnePiece(readRevocations(file))

/** The same, entry by entry: a list can have very many. */
export function* readRevocations(file: Buffer): Steps<Revocations> {
  const list = yield* isKrl(file) ? readKrl(file) : readKeys(file)
  return {
    isRevoked(subject) {
      if (!('publicKey' in subject)) return list.hasKey(subject)
      return list.hasKey(subject.publicKey) || list.hasKey(subject.caKey) || list.hasCertificate(subject)
    },
  }
}

function* readKeys(file: Buffer): Steps<RevocationList> {
  const text = decodeText(file)
  if (text === undefined || text.includes('\0')) {
    throw new SshFormatError('the file is neither a key revocation list of OpenSSH nor a list of public keys')
  }
  const blobs = new Set<string>()
  for (let line = 1, at = 0; at <= text.length; line++) {
    yield
    const end = text.indexOf('\n', at)
    const written = text.slice(at, end < 0 ? text.length : end)
    at += written.length + 1
    const content = written.replace(/^[ \t]+|[ \t\r]+$/g, '')
    if (content === '' || content.startsWith('#')) continue
    blobs.add(keyIn(content, line).toString('latin1'))
  }
  return { hasKey: ({ blob }) => blobs.has(blob.toString('latin1')), hasCertificate: () => false }
}

/** The blob of the key on the line, of any type; for a certificate, that of its key. */
function keyIn(content: string, line: number): Buffer {
  try {
    const key = readKeyText(content)
    if (!key) throw new SshFormatError('there is no public key')
    return isCertificateType(key.type) ? parseCertificate(key.blob).publicKey.blob : key.blob
  } catch (error) {
    if (!(error instanceof SshFormatError)) throw error
    throw new SshFormatError(`line ${line}: ${error.message}`)
  }
}
