/** Signed knocks as packets, and credentials whose knocks are signed; with keys of node's own. */
import { randomBytes } from 'node:crypto'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import type { CredentialKeys, SignedOutcome } from '../../../src/controller/verify/signature-job.js'
import type { KnockRequestBody } from '../../../src/knock/pk1/request.js'
import { plainRequest } from '../../../src/knock/pk1/request.js'
import { draftSigned, newServerKey } from '../../../src/knock/pk1/signed.js'
import { signedFormat } from '../../../src/knock/pk1/signed-format.js'
import { parsePublicKey } from '../../../src/knock/openssh/public-key.js'
import type { TestKey } from '../knock/openssh/sshsig.js'
import { knockPort, laptop, start } from './knock-support.js'

export const serverKey = newServerKey(randomBytes)
const secret = { identity: serverKey.identity }

export const staff: PacketCredential = {
  ...laptop,
  name: 'staff',
  type: 'ssh',
  secret,
  identity: signedFormat.identityOf(secret),
  action: 5,
  grants: [
    { service: 'ssh', protocol: 'tcp', ports: [{ first: 22, last: 22 }], seconds: 60 },
    { service: 'web', protocol: 'tcp', ports: [{ first: 80, last: 80 }], seconds: 600 },
  ],
}

/** What signatures for `staff` are verified by; `files` by their roles. */
export const keysOf = (
  files: Readonly<Partial<Record<'authorized' | 'authority' | 'revoked', string | Buffer>>>,
  part: Partial<CredentialKeys> = {},
): CredentialKeys => ({
  name: 'staff',
  opens: ['ssh', 'web'],
  port: null,
  ...serverKey,
  principals: ['ops'],
  skew: 10,
  revokes: false,
  files: Object.entries(files).map(([role, content]) => ({
    role: role as 'authorized',
    file: role,
    user: null,
    content: Buffer.from(content),
  })),
  isShut: false,
  ...part,
})

interface SignedKnockParts {
  readonly wishes?: Partial<KnockRequestBody>
  readonly certificate?: Buffer
  readonly port?: number
  /** Who signs, if that is another key. */
  readonly by?: TestKey
  /** Unix seconds. */
  readonly time?: number
  readonly identity?: Buffer
}

/** The payload of a knock by this key. */
export function signedPayload(key: TestKey, parts: SignedKnockParts = {}): Buffer {
  const { wishes = {}, certificate, port = knockPort, by = key, time = start, identity = serverKey.identity } = parts
  const signer = certificate ? { certificate } : { fingerprint: parsePublicKey(key.blob).fingerprint }
  const request = { ...plainRequest(BigInt(time) * 1000n), ...wishes }
  const draft = draftSigned(request, signer, identity, port, randomBytes)
  if (!draft) throw new Error('the knock does not fit')
  const { signature, statement } = by.sign(draft.message)
  return draft.seal(signature, statement?.flags, statement?.counter)
}

/** That the signature was verified. */
export const verified = (
  id: number,
  part: Partial<Extract<SignedOutcome, { kind: 'verified' }>> = {},
): SignedOutcome => ({
  kind: 'verified',
  id,
  credential: 'staff',
  signer: { user: 'alice', fingerprint: 'SHA256:abc' },
  rights: { opens: null, window: null, prefix4: null, prefix6: null, onBehalfOf: [], asksOutside: false },
  request: { time: start * 1000, close: false, window: null, prefix: null, other: null, host: null, services: [] },
  ...part,
})
