/**
 * Writes test/vectors/knock/signers.json, with new keys and certificates of ssh-keygen:
 * `npm run build && node dist/test/support/make-signer-vectors.js && npm run format`.
 */
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { formatIdentity } from '../../src/knock/pk1/identity.js'
import { plainRequest } from '../../src/knock/pk1/request.js'
import { draftSigned, newServerKey } from '../../src/knock/pk1/signed.js'
import { parsePublicKey } from '../../src/knock/openssh/index.js'
import type { TestKey } from '../unit/knock/openssh/sshsig.js'
import { testKey } from '../unit/knock/openssh/sshsig.js'
import { blobOf, OpenSsh } from './openssh.js'
import type { SignerVector, SignerVectors } from './signer-vectors.js'
import { signerVectorsFile } from './signer-vectors.js'

const server = newServerKey(randomBytes)
const port = 62_201
/** 2027-01-15 08:00:12 UTC. */
const now = 1_800_000_012
const source = '192.0.2.1'
const day = '20270115000000Z:20270116000000Z'

const token = 'sk-ssh-ed25519@openssh.com'
const users = {
  ada: testKey('ssh-ed25519'),
  bob: testKey('ecdsa-sha2-nistp256'),
  touched: testKey(token),
  'touched by P-256': testKey('sk-ecdsa-sha2-nistp256@openssh.com'),
  excused: testKey(token, { flags: 0, counter: 3 }),
  untouched: testKey(token, { flags: 0, counter: 4 }),
  verified: testKey(token, { flags: 5, counter: 5 }),
  unverified: testKey(token, { flags: 1, counter: 6 }),
  'of another application': testKey(token, { flags: 1, counter: 8 }, 'ssh:work'),
} satisfies Record<string, TestKey>
type User = keyof typeof users

const openssh = new OpenSsh()
for (const name of ['ca', 'ca-of-dev', 'revoked-ca', 'other-ca', 'p256-ca'])
  openssh.key(name, '-t', name === 'p256-ca' ? 'ecdsa' : 'ed25519')
const certificateFor = (user: User, ca: string, ...options: readonly string[]): Buffer => {
  openssh.write('user.pub', `${users[user].line}\n`)
  return blobOf(openssh.certificate(ca, 'user', '-O', 'clear', ...options))
}

interface Changes {
  readonly certificate?: Buffer
  readonly by?: User
  readonly flags?: number
  readonly counter?: number
  readonly spoil?: number
}

function packet(user: User, { certificate, by = user, flags, counter, spoil }: Changes): Buffer {
  const signer = certificate ? { certificate } : { fingerprint: parsePublicKey(users[user].blob).fingerprint }
  const draft = draftSigned(plainRequest(BigInt(now) * 1000n), signer, server.identity, port, randomBytes)
  if (!draft) throw new Error('it does not fit')
  const { signature, statement } = users[by].sign(draft.message)
  if (spoil !== undefined) signature.writeUInt8(signature.readUInt8(spoil) ^ 1, spoil)
  return draft.seal(signature, flags ?? statement?.flags, counter ?? statement?.counter)
}

const cases: SignerVector[] = []
const add = (name: SignerVector['name'], user: User, changes: Changes = {}, as?: string, from = source) =>
  cases.push({
    ...{ name, payload: packet(user, changes).toString('hex'), source: from, now },
    ...(as === undefined ? {} : { user: as }),
  })

const ops = ['-n', 'ops', '-z', '7', '-V', day] as const
add('accepted: an Ed25519 key', 'ada', {}, 'ada')
add('accepted: a P-256 key', 'bob', {}, 'bob')
add('accepted: a certificate for an Ed25519 key', 'ada', { certificate: certificateFor('ada', 'ca', ...ops) }, 'ops')
add('accepted: a certificate for a P-256 key', 'bob', { certificate: certificateFor('bob', 'ca', ...ops) }, 'ops')
add('accepted: a certificate by a P-256 CA', 'ada', { certificate: certificateFor('ada', 'p256-ca', ...ops) }, 'ops')
add(
  'accepted: a certificate for a FIDO key',
  'touched',
  { certificate: certificateFor('touched', 'ca', ...ops) },
  'ops',
)
add(
  'accepted: a certificate with one of several principals',
  'ada',
  { certificate: certificateFor('ada', 'ca', '-n', 'web,ops', '-V', day) },
  'ops',
)
add(
  'accepted: a certificate with the principals of the line of its CA',
  'ada',
  { certificate: certificateFor('ada', 'ca-of-dev', '-n', 'dev', '-V', day) },
  'dev',
)
add(
  'accepted: a certificate for its source address',
  'ada',
  { certificate: certificateFor('ada', 'ca', ...ops, '-O', 'source-address=192.0.2.0/24') },
  'ops',
)
add('accepted: a FIDO key, touched', 'touched', {}, 'touched')
add('accepted: a FIDO key of P-256, touched', 'touched by P-256', {}, 'touched by P-256')
add('accepted: a FIDO key of another application', 'of another application', {}, 'of another application')
add('accepted: a FIDO key without a touch, which its line does not need', 'excused', {}, 'excused')
add('accepted: a FIDO key that has verified its person, as its line needs', 'verified', {}, 'verified')

add('unknown-key: of another CA', 'ada', { certificate: certificateFor('ada', 'other-ca', ...ops) })
add('certificate-expired: since yesterday', 'ada', {
  certificate: certificateFor('ada', 'ca', '-n', 'ops', '-V', '20270114000000Z:20270115000000Z'),
})
add('certificate-expired: since this second', 'ada', {
  certificate: certificateFor('ada', 'ca', '-n', 'ops', '-V', '20270115000000Z:20270115080012Z'),
})
add('certificate-not-yet-valid: from the next second', 'ada', {
  certificate: certificateFor('ada', 'ca', '-n', 'ops', '-V', '20270115080013Z:20270116000000Z'),
})
add('wrong-principal: another', 'ada', { certificate: certificateFor('ada', 'ca', '-n', 'web', '-V', day) })
add('wrong-principal: none', 'ada', { certificate: certificateFor('ada', 'ca', '-V', day) })
add('wrong-principal: not those of the line of its CA', 'ada', {
  certificate: certificateFor('ada', 'ca-of-dev', ...ops),
})
add('source-not-allowed: the certificate is for another', 'ada', {
  certificate: certificateFor('ada', 'ca', ...ops, '-O', 'source-address=198.51.100.0/24'),
})
add('revoked: its CA', 'ada', { certificate: certificateFor('ada', 'revoked-ca', ...ops) })
const right = certificateFor('ada', 'ca', ...ops)
const forged = Buffer.from(right)
forged.writeUInt8(forged.readUInt8(forged.length - 1) ^ 1, forged.length - 1)
add('bad-signature: of the CA', 'ada', { certificate: forged })
add('bad-signature: of another than the user of the certificate', 'ada', {
  certificate: right,
  by: 'excused',
  flags: 0,
  counter: 0,
})
add('bad-signature: a certificate, and a byte of the signature changed', 'ada', { certificate: right, spoil: 9 })
add('bad-certificate: cut off', 'ada', { certificate: right.subarray(0, -1) })
add('bad-signature: a FIDO key without a touch', 'untouched')
add('bad-signature: a certificate for a FIDO key, without a touch', 'untouched', {
  certificate: certificateFor('untouched', 'ca', ...ops),
})
add('bad-signature: a FIDO key without its person', 'unverified')
add('bad-signature: a touch that the token has not signed', 'untouched', { flags: 1 })
add('bad-signature: another counter than the token has signed', 'touched', { counter: 9 })
add('bad-signature: a FIDO key, and a byte changed', 'touched', { spoil: 63 })
add('bad-signature: another FIDO key', 'touched', { by: 'verified' })
add('bad-signature: with the flags of a FIDO key', 'ada', { flags: 1 })

const lines: readonly [string, User][] = [
  ...(['ada', 'bob', 'touched', 'touched by P-256', 'of another application', 'untouched'] as const).map(
    user => ['', user] as [string, User],
  ),
  ['no-touch-required ', 'excused'],
  ['verify-required ', 'verified'],
  ['verify-required ', 'unverified'],
]
const vectors: SignerVectors = {
  about:
    "Signed knocks of pkctl with certificates and FIDO tokens, see docs/protocol.md: `payload` (hex) arrives from `source` at UDP port `port` at `now` (Unix seconds). The name begins with the outcome: accepted, or the reason of pkctl's log. The receiver has the server's key and the files below.",
  server: { identity: formatIdentity(server.identity), privateKey: server.privateKey.toString('hex') },
  port,
  authorized: lines.map(([options, user]) => `${options}${users[user].line} ${user}\n`).join(''),
  authority: ['ca', 'p256-ca', 'revoked-ca']
    .map(name => openssh.read(`${name}.pub`))
    .concat(`principals="dev" ${openssh.read('ca-of-dev.pub')}`)
    .join(''),
  revoked: openssh.read('revoked-ca.pub'),
  principals: ['ops'],
  cases,
}
openssh.remove()
fs.writeFileSync(signerVectorsFile, `${JSON.stringify(vectors, null, 2)}\n`)
console.log(`${cases.length} cases`)
