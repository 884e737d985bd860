/**
 * Writes test/vectors/knock/vectors.json: `npm run build && node dist/test/support/make-knock-vectors.js && npm run format`. Everything
 * follows from a fixed seed, but the signatures of ECDSA.
 */
import * as crypto from 'node:crypto'
import * as fs from 'node:fs'
import path from 'node:path'
import { sealPacket, sealKey } from '../../src/knock/pk1/envelope.js'
import { filterKeys, formatIdentity, hmac } from '../../src/knock/pk1/identity.js'
import type { KnockRequestBody } from '../../src/knock/pk1/request.js'
import { encodeRequest, plainRequest } from '../../src/knock/pk1/request.js'
import type { Signer } from '../../src/knock/pk1/signed.js'
import { draftSigned, newServerKey } from '../../src/knock/pk1/signed.js'
import { sealSymmetric, symmetric } from '../../src/knock/pk1/symmetric.js'
import { packetPrefix, periodOf } from '../../src/knock/pk1/period.js'
import { publicHalf, passingKey, sharedSecret } from '../../src/knock/pk1/x25519.js'
import type { KnockVector, KnockVectors, VectorLayer } from './knock-vectors.js'
import { judgeVector, knockVectorsFile, receiverOf, sshsig } from './knock-vectors.js'

let drawn = 0
const random = (size: number): Buffer => {
  const blocks = Array.from({ length: Math.ceil(size / 32) }, () =>
    hmac(Buffer.from('vectors of the knock'), Buffer.from(String(drawn++))),
  )
  return Buffer.concat(blocks).subarray(0, size)
}

const server = newServerKey(random)
const otherServer = newServerKey(random)
const keys = filterKeys(server.identity)
const [phone, camera, stranger] = [random(32), random(32), random(32)] as [Buffer, Buffer, Buffer]
const port = 62_201
const now = 1_800_000_012_345
const at = BigInt(now)

// ---- users with SSH keys

const sshText = (parts: readonly (string | Buffer)[]) =>
  Buffer.concat(
    parts.map(part => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(part.length)
      return Buffer.concat([length, Buffer.from(part as string)])
    }),
  )

const edPrivate = (seed: Buffer) =>
  crypto.createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
    format: 'der',
    type: 'pkcs8',
  })
const spki = (key: crypto.KeyObject) => crypto.createPublicKey(key).export({ format: 'der', type: 'spki' })
const ada = edPrivate(random(32))
const mallory = edPrivate(random(32))
const bob = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const adaBlob = sshText(['ssh-ed25519', spki(ada).subarray(-32)])
const malloryBlob = sshText(['ssh-ed25519', spki(mallory).subarray(-32)])
const bobBlob = sshText(['ecdsa-sha2-nistp256', 'nistp256', spki(bob).subarray(-65)])
const fingerprint = (blob: Buffer) => crypto.createHash('sha256').update(blob).digest()
const signWith = (key: crypto.KeyObject, message: Buffer) =>
  crypto.sign(key.asymmetricKeyType === 'ec' ? 'sha256' : null, sshsig(message), { key, dsaEncoding: 'ieee-p1363' })

// ---- packets

const requests: readonly [string, Partial<KnockRequestBody>][] = [
  ['all that the key opens', {}],
  ['one service', { services: ['ssh'] }],
  ['three services', { services: ['Web', 'db_2', 'ssh'] }],
  ['a window', { window: 28_800 }],
  ['the longest window', { window: 0xffffffff }],
  ['an address of the other family', { other: Buffer.from('20010db8000000000000000000000001', 'hex') }],
  ['a prefix', { prefix: 24 }],
  ['another host', { host: Buffer.from([192, 0, 2, 7]) }],
  ['to close', { close: true }],
  [
    'all at once',
    {
      ...{ close: true, window: 1, prefix: 128, services: ['a'] },
      ...{ other: Buffer.from([198, 51, 100, 9]), host: Buffer.from('20010db8000000000000000000000002', 'hex') },
    },
  ],
]
const request = (part: Partial<KnockRequestBody> = {}): KnockRequestBody => ({ ...plainRequest(at), ...part })

const bySymmetric = (part: Partial<KnockRequestBody> = {}, key = phone, identity = server.identity, to = port) => {
  const packet = sealSymmetric(request(part), to, random(16), { identity, key })
  if (!packet) throw new Error('the request does not fit')
  return packet
}

/** Any 96 bytes as the body. */
function withBody(body: Buffer, time = at, hintTime = time): Buffer {
  const salt = random(16)
  const secret = { identity: server.identity, key: phone }
  const hint = Buffer.from(symmetric.rotation?.hintOf(secret, Number(hintTime / 1000n)) ?? '', 'latin1')
  const key = sealKey(phone, salt, 'symmetric', server.identity)
  return sealPacket({ keys, prefix: packetPrefix(keys, periodOf(time)), salt, hidden: hint, key, body, port })
}

function bySsh(
  key: crypto.KeyObject,
  signer: Signer,
  part: Partial<KnockRequestBody> = {},
  change: { to?: number; flags?: number; counter?: number; signature?: (right: Buffer) => Buffer } = {},
): Buffer {
  const { to = port, flags = 0, counter = 0, signature = right => right } = change
  const draft = draftSigned(request(part), signer, server.identity, to, random)
  if (!draft) throw new Error('it does not fit')
  return draft.seal(signature(signWith(key, draft.message)), flags, counter)
}

/** Any bytes as the body, with any ephemeral key. */
function signedWithBody(body: Buffer, ephemeral?: Buffer): Buffer {
  const salt = random(16)
  const own = random(32)
  const shared = sharedSecret(passingKey(own), server.identity) as Buffer
  const hidden = ephemeral ?? publicHalf(own)
  const key = sealKey(shared, salt, 'signed', Buffer.concat([server.identity, hidden]))
  return sealPacket({ keys, prefix: packetPrefix(keys, periodOf(at)), salt, hidden, key, body, port })
}

const changed = (packet: Buffer, place: number, by = 1) => {
  const copy = Buffer.from(packet)
  copy[place] = (copy[place] as number) ^ by
  return copy
}
/** With a right check, as anyone can make it who has the identity. */
function rechecked(packet: Buffer): Buffer {
  const copy = Buffer.from(packet)
  copy.write(keys.mac.digest(copy, 0, 24, 40, copy.length).slice(0, 16), 24, 'latin1')
  return copy
}

const cases: KnockVector[] = []
const jsonOf = ({ time, other, host, ...rest }: KnockRequestBody) => ({
  ...rest,
  time: Number(time),
  other: other?.toString('hex') ?? null,
  host: host?.toString('hex') ?? null,
})
const accept = (name: string, user: string, payload: Buffer, part: Partial<KnockRequestBody> = {}, arrives = now) =>
  cases.push({
    ...{ name: `accepted: ${name}`, port, now: arrives, payload: payload.toString('hex') },
    ...{ user, request: jsonOf(request(part)) },
  })
const refuse = (layer: VectorLayer, name: string, payload: Buffer, more: { port?: number; now?: number } = {}) =>
  cases.push({ name: `${layer}: ${name}`, port, now, payload: payload.toString('hex'), ...more })

for (const [name, part] of requests) {
  accept(`phone asks for ${name}`, 'phone', bySymmetric(part), part)
  accept(`ada asks for ${name}`, 'ada', bySsh(ada, { fingerprint: fingerprint(adaBlob) }, part), part)
  accept(`bob asks for ${name}`, 'bob', bySsh(bob, { fingerprint: fingerprint(bobBlob) }, part), part)
}
accept('another user with a key', 'camera', bySymmetric({}, camera))
for (const [name, shift] of [
  ['10 s ago', -10_000],
  ['in 10 s', 10_000],
] as const) {
  const time = BigInt(now + shift)
  accept(`stamped ${name}`, 'phone', bySymmetric({ time }), { time })
}

for (const size of [0, 1, 8, 56, 64, 76, 159, 161, 255, 257, 1023, 1025])
  refuse('size', `${size} bytes`, Buffer.concat([bySymmetric()], size))

const one = bySymmetric()
for (let i = 0; i < one.length; i++)
  refuse(i < 8 ? 'prefix' : 'check', `byte ${i} changed`, changed(one, i, 1 << (i % 8)))
const two = bySsh(ada, { fingerprint: fingerprint(adaBlob) })
for (let i = 0; i < two.length; i += 3)
  refuse(i < 8 ? 'prefix' : 'check', `byte ${i} of a signed one changed`, changed(two, i, 0x80 >> (i % 8)))
// What another user of the server can do, who has the identity.
for (let i = 8; i < 24; i += 3)
  refuse('hint', `byte ${i} of the salt changed, with a right check`, rechecked(changed(one, i)))
for (let i = 40; i < 48; i++)
  refuse('hint', `byte ${i} of the hint changed, with a right check`, rechecked(changed(one, i)))
for (let i = 48; i < 160; i += 7) refuse('seal', `byte ${i} changed, with a right check`, rechecked(changed(one, i)))
for (let i = 8; i < 24; i += 4)
  refuse(
    'seal',
    `byte ${i} of the salt of a signed one changed, with a right check`,
    fixedEphemeral(changed(two, i), two),
  )
for (let i = 40; i < 71; i += 5)
  refuse('seal', `byte ${i} of the ephemeral key changed, with a right check`, rechecked(changed(two, i)))
refuse('ephemeral', 'the highest bit of the ephemeral key set, with a right check', rechecked(changed(two, 71, 0x80)))
for (let i = 72; i < 256; i += 11)
  refuse('seal', `byte ${i} of a signed one changed, with a right check`, rechecked(changed(two, i)))

/** The ephemeral key of `from`, behind the mask that the changed salt gives. */
function fixedEphemeral(packet: Buffer, from: Buffer): Buffer {
  const copy = Buffer.from(packet)
  const [before, after] = [from, copy].map(bytes => Buffer.from(keys.mask.digest(bytes, 8, 24), 'latin1')) as [
    Buffer,
    Buffer,
  ]
  for (let i = 0; i < 32; i++) copy[40 + i] = (from[40 + i] as number) ^ (before[i] as number) ^ (after[i] as number)
  return rechecked(copy)
}

// The prefix of another window, put before a packet that was captured.
for (const [name, window] of [
  ['before', periodOf(at) - 1n],
  ['after', periodOf(at) + 1n],
] as const) {
  const moved = Buffer.from(two)
  packetPrefix(keys, window).copy(moved)
  refuse('seal', `the prefix of the window ${name} it, with a right check`, rechecked(moved))
  const movedOne = Buffer.from(one)
  packetPrefix(keys, window).copy(movedOne)
  refuse('hint', `the prefix of the window ${name} it, on a symmetric one`, rechecked(movedOne))
}
const longAgo = (seconds: number) => ({ time: BigInt(now - seconds * 1000) })
for (const seconds of [11, -11, 12, 30, -20]) refuse('time', `stamped ${seconds} s ago`, bySymmetric(longAgo(seconds)))
for (const seconds of [90, 3600, 86_400, -90, -3600])
  refuse('prefix', `stamped ${seconds} s ago`, bySymmetric(longAgo(seconds)))
for (const seconds of [11, -11]) {
  const packet = bySsh(ada, { fingerprint: fingerprint(adaBlob) }, longAgo(seconds))
  refuse('time', `stamped ${seconds} s ago, and signed`, packet)
}
const body = encodeRequest(request(), 96) as Buffer
refuse('period', 'the prefix and the hint of the period before its time', withBody(body, at - 30_000n))
refuse('hint', 'the hint of another window than the prefix', withBody(body, at, at - 30_000n))
refuse('seal', 'another port', bySymmetric(), { port: port + 1 })
refuse('seal', 'another port, signed', two, { port: port + 1 })
refuse('prefix', 'for another server', bySymmetric({}, phone, otherServer.identity))
refuse('hint', 'a key that the server does not have', bySymmetric({}, stranger))

// ---- bodies that are sealed as they should be

const spoilt = (name: string, change: (copy: Buffer) => void, from: Partial<KnockRequestBody> = {}) => {
  const copy = Buffer.from(encodeRequest(request(from), 96) as Buffer)
  change(copy)
  refuse('request', name, withBody(copy))
}
for (const version of [0, 2, 255]) spoilt(`version ${version}`, copy => (copy[0] = version))
for (const flag of [64, 128]) spoilt(`flag ${flag}`, copy => (copy[1] = flag))
spoilt('a window of 0 s', copy => copy.fill(0, 10, 14), { window: 9 })
spoilt('a prefix of 0 bits', copy => (copy[10] = 0), { prefix: 24 })
spoilt('a prefix of 129 bits', copy => (copy[10] = 129), { prefix: 24 })
for (const family of [0, 5, 16])
  spoilt(`an address of family ${family}`, copy => (copy[10] = family), { other: Buffer.alloc(4, 1) })
spoilt('an address of family 6 in 4 bytes', copy => (copy[10] = 6), { host: Buffer.alloc(4, 1), services: ['ssh'] })
spoilt('no services, counted', copy => (copy[10] = 0), { services: ['a'] })
spoilt('more services than counted', copy => (copy[10] = 1), { services: ['a', 'b'] })
spoilt('fewer services than counted', copy => (copy[10] = 3), { services: ['a', 'b'] })
spoilt('services in another order', copy => copy.write('b\x01a', 12, 'latin1'), { services: ['a', 'b'] })
spoilt('a service twice', copy => copy.write('a\x01a', 12, 'latin1'), { services: ['a', 'b'] })
spoilt('a service without a name', copy => (copy[11] = 0), { services: ['a'] })
spoilt('a service whose name is a path', copy => copy.write('../x', 12, 'latin1'), { services: ['abcd'] })
spoilt('a service whose name ends behind the body', copy => (copy[11] = 200), { services: ['a'] })
for (const place of [10, 11, 50, 95]) spoilt(`byte ${place} behind the request set`, copy => (copy[place] = 1))
refuse('request', 'zeros alone', withBody(Buffer.alloc(96)))
refuse('request', 'ones alone', withBody(Buffer.alloc(96, 0xff)))

// ---- signers and signatures

const adaSigner = { fingerprint: fingerprint(adaBlob) }
refuse('signer', 'a key that the server does not have', bySsh(mallory, { fingerprint: fingerprint(malloryBlob) }))
refuse('signature', "another user's fingerprint", bySsh(mallory, adaSigner))
refuse('signature', 'signed by ada, in the name of bob', bySsh(ada, { fingerprint: fingerprint(bobBlob) }))
refuse('signature', 'of zeros', bySsh(ada, adaSigner, {}, { signature: () => Buffer.alloc(64) }))
refuse(
  'signature',
  'of zeros, P-256',
  bySsh(bob, { fingerprint: fingerprint(bobBlob) }, {}, { signature: () => Buffer.alloc(64) }),
)
for (let i = 0; i < 64; i += 9)
  refuse('signature', `byte ${i} of it changed`, bySsh(ada, adaSigner, {}, { signature: right => changed(right, i) }))
for (let i = 0; i < 64; i += 13) {
  const bobSigner = { fingerprint: fingerprint(bobBlob) }
  refuse(
    'signature',
    `byte ${i} of it changed, P-256`,
    bySsh(bob, bobSigner, {}, { signature: right => changed(right, i) }),
  )
}
refuse('signature', 'with the flags of a FIDO key', bySsh(ada, adaSigner, {}, { flags: 1 }))
refuse('signature', 'with the counter of a FIDO key', bySsh(ada, adaSigner, {}, { counter: 1 }))
refuse('signature', 'of another knock', bySsh(ada, adaSigner, {}, { signature: () => signatureElsewhere() }))
function signatureElsewhere(identity = otherServer.identity): Buffer {
  const draft = draftSigned(request(), adaSigner, identity, port, random)
  if (!draft) throw new Error('it does not fit')
  return signWith(ada, draft.message)
}
const certificate = (change: (body: Buffer) => void) => {
  const draft = draftSigned(request(), { certificate: Buffer.alloc(300, 7) }, server.identity, port, random)
  if (!draft) throw new Error('it does not fit')
  const asked = encodeRequest(request(), 67) as Buffer
  const signer = Buffer.concat([Buffer.from([1, 44]), Buffer.alloc(300, 7)], 800)
  change(signer)
  return signedWithBody(Buffer.concat([asked, signer, Buffer.alloc(69)]))
}
refuse(
  'signer',
  'a certificate of no bytes',
  certificate(signer => signer.fill(0)),
)
refuse(
  'signer',
  'a certificate longer than its place',
  certificate(signer => signer.writeUInt16BE(799)),
)
refuse(
  'signer',
  'bytes behind the certificate',
  certificate(signer => (signer[799] = 1)),
)
refuse(
  'signer',
  'a length that cuts the certificate',
  certificate(signer => signer.writeUInt16BE(299)),
)
refuse(
  'signer',
  'a certificate that is none',
  certificate(() => undefined),
)
refuse('request', 'version 9, signed', signedWithBody(Buffer.alloc(168, 9)))
refuse('ephemeral', 'a point of low order: 0', signedWithBody(Buffer.alloc(168), Buffer.alloc(32)))
refuse('ephemeral', 'a point of low order: 1', signedWithBody(Buffer.alloc(168), Buffer.concat([Buffer.from([1])], 32)))
for (const [name, point] of [
  ['of order 8', 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'],
  ['of order 8, the other one', '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157'],
  ['p - 1', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['p', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['p + 1', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
] as const)
  refuse('ephemeral', `a point of low order: ${name}`, signedWithBody(Buffer.alloc(168), Buffer.from(point, 'hex')))
refuse('seal', 'sealed for another ephemeral key', signedWithBody(Buffer.alloc(168), publicHalf(random(32))))

const vectors: KnockVectors = {
  about:
    "pkctl's own knock, see docs/protocol.md: `payload` (hex) arrives at UDP port `port` at `now` (Unix milliseconds). The name begins with the outcome: accepted, or what refuses it. A receiver has the server's key and the users' keys below, a skew of 10 s, and has seen none of the packets before.",
  server: { identity: formatIdentity(server.identity), privateKey: server.privateKey.toString('hex') },
  symmetric: { phone: phone.toString('hex'), camera: camera.toString('hex') },
  ssh: {
    ada: `ssh-ed25519 ${adaBlob.toString('base64')}`,
    bob: `ecdsa-sha2-nistp256 ${bobBlob.toString('base64')}`,
  },
  cases,
}
for (const vector of cases) {
  const judged = judgeVector(vector, receiverOf(vectors))
  const outcome = 'layer' in judged ? judged.layer : 'accepted'
  if (!vector.name.startsWith(`${outcome}: `)) console.error(`${vector.name}: ${outcome}`)
}
/** Those for the checks that every format has, whose clock stands still. */
const ofFormat = (() => {
  const identity = formatIdentity(server.identity)
  const seconds = Math.floor(now / 1000)
  const salts = [random(16), random(16)] as [Buffer, Buffer]
  const packets = [phone, camera].map((key, i) =>
    symmetric.encode({ port, time: seconds, random: () => salts[i] as Buffer }, { identity: server.identity, key }),
  ) as [Buffer, Buffer]
  const options = (key: Buffer) => ({ identity, key: `0x${key.toString('hex')}` })
  const made = (i: 0 | 1) => ({ port, time: seconds, random: salts[i].toString('hex') })
  const wrong = (name: string, outcome: string, payload: Buffer) => ({
    ...{ name, outcome, ...options(phone), ...made(0), payload: payload.toString('hex') },
  })
  return [
    { name: 'phone', outcome: 'accepted', ...options(phone), ...made(0), payload: packets[0].toString('hex') },
    { name: 'camera', outcome: 'accepted', ...options(camera), ...made(1), payload: packets[1].toString('hex') },
    wrong('a byte short', 'malformed', packets[0].subarray(1)),
    wrong('a byte long', 'malformed', Buffer.concat([packets[0]], 161)),
    wrong('the first word of another window', 'unknown-tag', changed(packets[0], 3)),
    wrong('the second word of another window', 'bad-hash', changed(packets[0], 7)),
    wrong('the key of another device', 'bad-hash', packets[1]),
    wrong('the last byte', 'bad-hash', changed(packets[0], 159)),
  ]
})()
const aboutFormat =
  'Symmetric knocks at Unix second `time`, for the checks that all formats have; knock/vectors.json has the rest.'
fs.writeFileSync(
  path.join(path.dirname(knockVectorsFile), '../symmetric.json'),
  `${JSON.stringify({ about: aboutFormat, cases: ofFormat }, null, 2)}\n`,
)
fs.writeFileSync(knockVectorsFile, `${JSON.stringify(vectors, null, 2)}\n`)
console.log(`${cases.length} cases`)
