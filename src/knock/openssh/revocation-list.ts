/** What each kind of list of revoked keys says. */
import type { SshCertificate } from './certificate.js'
import type { SshPublicKey } from './public-key.js'

export interface RevocationList {
  readonly hasKey: (key: SshPublicKey) => boolean
  /** Whether the certificate itself is revoked; its key and that of its CA are asked about by `hasKey`. */
  readonly hasCertificate: (certificate: SshCertificate) => boolean
}
