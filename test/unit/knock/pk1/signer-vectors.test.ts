/** Knocks with certificates and FIDO tokens, by the verifier of the daemon, and their signatures by ssh-keygen. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { SignatureVerifier } from '../../../../src/controller/verify/signature-verifier.js'
import type { CredentialKeys } from '../../../../src/controller/verify/signature-job.js'
import { parseIdentity } from '../../../../src/knock/pk1/identity.js'
import { decryptSigned } from '../../../../src/knock/pk1/signed.js'
import { parseAuthorizedKeys, parseCertificate, SshFormatError } from '../../../../src/knock/openssh/index.js'
import { namespace, OpenSsh } from '../../../support/openssh.js'
import type { SignerVector } from '../../../support/signer-vectors.js'
import { readSignerVectors } from '../../../support/signer-vectors.js'
import { sshsigOf } from '../openssh/sshsig.js'

const vectors = readSignerVectors()
const { port, principals } = vectors
const server = {
  identity: parseIdentity(vectors.server.identity) ?? assert.fail('the identity'),
  privateKey: Buffer.from(vectors.server.privateKey, 'hex'),
}
const content = (role: 'authorized' | 'authority' | 'revoked') => Buffer.from(vectors[role])
const keys: CredentialKeys = {
  ...{ name: 'staff', opens: ['ssh'], port: null, ...server, principals, skew: 10, revokes: false, isShut: false },
  files: (['authorized', 'authority', 'revoked'] as const).map(role => ({
    ...{ role, file: role, user: null, content: content(role) },
  })),
}
const outcomeOf = ({ name }: SignerVector) => name.split(':')[0] ?? ''

describe('knocks with certificates and FIDO tokens', () => {
  it('are of each outcome, with a name of its own', () => {
    const outcomes = [...new Set(vectors.cases.map(outcomeOf))].sort()
    assert.deepEqual(outcomes, [
      ...['accepted', 'bad-certificate', 'bad-signature', 'certificate-expired', 'certificate-not-yet-valid'],
      ...['revoked', 'source-not-allowed', 'unknown-key', 'wrong-principal'],
    ])
    assert.equal(new Set(vectors.cases.map(({ name }) => name)).size, vectors.cases.length)
  })

  for (const vector of vectors.cases) {
    it(vector.name, async () => {
      const { payload, source, now, user } = vector
      const verifier = new SignatureVerifier({ now: () => now })
      const [report] = await verifier.configure([keys])
      assert.deepEqual(report?.problems, [])
      const bytes = new Uint8Array(Buffer.from(payload, 'hex'))
      const outcome = await verifier.verify({ id: 1, bytes, port, source })
      assert.equal(outcome.kind === 'verified' ? 'accepted' : outcome.reason, outcomeOf(vector))
      if (outcome.kind === 'verified') assert.equal(outcome.signer.user, user)
    })
  }
})

describe('the signatures of these knocks', () => {
  const openssh = new OpenSsh()
  after(() => {
    openssh.remove()
  })
  /** Of what ssh-keygen does not look at: the file of revoked keys is not given, and a touch is not its matter. */
  const rightAllTheSame = [
    'revoked: its CA',
    'source-not-allowed: the certificate is for another',
    'bad-signature: a FIDO key without a touch',
    'bad-signature: a certificate for a FIDO key, without a touch',
    'bad-signature: a FIDO key without its person',
    // Flags are no part of a signature without a token.
    'bad-signature: with the flags of a FIDO key',
  ]
  const users = parseAuthorizedKeys(vectors.authorized, 'authorized').entries
  const authorities = parseAuthorizedKeys(vectors.authority, 'authority').entries
  const lineOf = ({ key, isCa }: { key: Buffer; isCa: boolean }, type: string, names: readonly string[]) =>
    `${names.join(',')} ${isCa ? 'cert-authority ' : ''}${type} ${key.toString('base64')}\n`
  const signers = [
    ...users.map(({ key }, i) => lineOf({ key: key.blob, isCa: false }, key.type, [`user-${i}`])),
    ...authorities.map(({ key, principals: own }) =>
      lineOf({ key: key.blob, isCa: true }, key.type, own ?? principals),
    ),
  ].join('')

  /** Undefined for a certificate that cannot be read. */
  function signerOf(signer: { readonly fingerprint: Buffer } | { readonly certificate: Buffer }) {
    if ('fingerprint' in signer) {
      const index = users.findIndex(({ key }) => key.fingerprint.equals(signer.fingerprint))
      const { key } = users[index] ?? assert.fail('the key')
      return { blob: key.blob, type: key.type, isToken: key.isToken, name: `user-${index}` }
    }
    try {
      const { publicKey, caKey, principals: named } = parseCertificate(signer.certificate)
      const own = authorities.find(({ key }) => key.blob.equals(caKey.blob))?.principals ?? principals
      const name = named.find(one => own.includes(one)) ?? named[0] ?? 'none'
      return { blob: signer.certificate, type: publicKey.type, isToken: publicKey.isToken, name }
    } catch (error) {
      assert.ok(error instanceof SshFormatError)
      return undefined
    }
  }

  for (const vector of vectors.cases) {
    it(`ssh-keygen says the same: ${vector.name}`, () => {
      const bytes = Buffer.from(vector.payload, 'hex')
      const opened = decryptSigned({ bytes, at: 0, length: bytes.length, port }, server)
      if (typeof opened === 'string') assert.fail(opened)
      const { signer, message, signature, flags, counter } = opened
      const found = signerOf(signer)
      if (!found) {
        assert.equal(outcomeOf(vector), 'bad-certificate')
        return
      }
      const { blob, type, isToken, name } = found
      const sshsig = sshsigOf(type, blob, signature, isToken ? { flags, counter } : undefined)
      const text = sshsig.toString('base64').replace(/.{70}/g, '$&\n')
      openssh.write('signature', `-----BEGIN SSH SIGNATURE-----\n${text}\n-----END SSH SIGNATURE-----\n`)
      openssh.write('signers', signers)
      const time = new Date(vector.now * 1000).toISOString().replace(/[-:T]|\.000/g, '')
      const { status, stderr } = openssh.keygen(
        ['-Y', 'verify', '-f', 'signers', '-I', name, '-n', namespace, '-s', 'signature', '-O', `verify-time=${time}`],
        { input: message },
      )
      const isRight = outcomeOf(vector) === 'accepted' || rightAllTheSame.includes(vector.name)
      assert.equal(status === 0, isRight, stderr)
    })
  }
})
