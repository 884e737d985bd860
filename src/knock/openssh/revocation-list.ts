/**
 * The interface of both kinds of files with revoked keys: krl.ts reads the binary one of OpenSSH, revocations.ts the text, and
 * decides which of them a file is.
 */
import type { SshCertificate } from './certificate.js'
import type { SshPublicKey } from './public-key.js'

export interface RevocationList {
  readonly hasKey: (key: SshPublicKey) => boolean
  /** Whether the certificate itself is revoked; its key and that of its CA are asked about by `hasKey`. */
  readonly hasCertificate: (certificate: SshCertificate) => boolean
}
