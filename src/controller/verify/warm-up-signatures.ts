/**
 * Runs made-up signed knocks through the code of the thread that verifies signatures, as packets/warm-up.ts does for the packet
 * worker: by a server and a user who are made up, too, and are forgotten.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { draftSigned, newServerKey, plainRequest, signatureNamespace } from '../../knock/index.js'
import { parsePublicKey, signedData, sshString } from '../../knock/openssh/index.js'
import type { Clock } from '../clock.js'
import { SignatureVerifier } from './signature-verifier.js'

/** The first one takes as long as some ten of those that follow. */
const rounds = 30
const port = 1
const keyLength = 32

/** Resolves to how many of them were verified. */
export async function warmUpSignatures(clock: Pick<Clock, 'now'>): Promise<number> {
  const verifier = new SignatureVerifier(clock)
  const server = newServerKey(randomBytes)
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-keyLength)
  const blob = Buffer.concat([sshString('ssh-ed25519'), sshString(raw)])
  const content = Buffer.from(`ssh-ed25519 ${blob.toString('base64')} made-up\n`)
  await verifier.configure([
    {
      ...server,
      ...{ name: 'made-up', opens: [], port: null, principals: [], skew: -1, revokes: false, isShut: false },
      files: [{ role: 'authorized', file: 'made-up', user: null, content }],
    },
  ])
  const { fingerprint } = parsePublicKey(blob)
  let verified = 0
  for (let id = 0; id < rounds; id++) {
    const draft = draftSigned(plainRequest(BigInt(Date.now())), { fingerprint }, server.identity, port, randomBytes)
    if (!draft) break
    const bytes = new Uint8Array(draft.seal(sign(null, signedData(signatureNamespace, draft.message), privateKey)))
    const { kind } = await verifier.verify({ id, bytes, port, source: '192.0.2.1' })
    if (kind === 'verified') verified++
  }
  return verified
}
