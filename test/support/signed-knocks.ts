/** Knocks that keys of OpenSSH sign, for tests: with ssh-keygen and a key file, or with what else signs. */
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { signWithFile } from '../../src/client/openssh/keygen-sign.js'
import type { SshSignature } from '../../src/knock/openssh/index.js'
import { parseCertificate, parsePublicKey } from '../../src/knock/openssh/index.js'
import type { KnockRequestBody } from '../../src/knock/pk1/request.js'
import { plainRequest } from '../../src/knock/pk1/request.js'
import { draftSigned } from '../../src/knock/pk1/signed.js'
import { knockPort } from './knocks.js'
import { blobOf, namespace } from './openssh.js'

export interface SignedParts {
  /** The private key's file, with its public half in `.pub` beside it. */
  readonly key: string
  /** The file of a certificate. */
  readonly certificate?: string
  readonly identity: Buffer
  readonly port?: number
  readonly wishes?: Partial<KnockRequestBody>
  /** In place of ssh-keygen. */
  readonly sign?: (message: Buffer) => Promise<SshSignature>
}

export async function signedKnock(parts: SignedParts): Promise<Buffer> {
  const { key: file, certificate, identity, port = knockPort, wishes = {} } = parts
  const key = parsePublicKey(blobOf(fs.readFileSync(`${file}.pub`, 'utf8')))
  const signer =
    certificate === undefined
      ? { fingerprint: key.fingerprint }
      : { certificate: parseCertificate(blobOf(fs.readFileSync(certificate, 'utf8'))).blob }
  const request = { ...plainRequest(BigInt(Date.now())), ...wishes }
  const draft = draftSigned(request, signer, identity, port, randomBytes)
  if (!draft) throw new Error('the knock does not fit')
  const sign = parts.sign ?? (message => signWithFile(file, key, namespace, message))
  const { signature, statement } = await sign(draft.message)
  return draft.seal(signature, statement?.flags, statement?.counter)
}
