/** One table over all formats, and a format of the test's own that goes through the verifier. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { credentialTypes, knockFormats } from '../../../src/config/credentials/credential-types.js'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import { ReplayCache } from '../../../src/controller/replay/replay-cache.js'
import { KnockVerifier } from '../../../src/controller/verify/verifier.js'
import type { KnockFormat, VerifiedKnock } from '../../../src/knock/format.js'
import { KnockFormats } from '../../../src/knock/knock-formats.js'
import { signedFormat } from '../../../src/knock/pk1/signed-format.js'
import type { SymmetricSecret } from '../../../src/knock/pk1/symmetric.js'
import { symmetric } from '../../../src/knock/pk1/symmetric.js'
import { root } from '../../support/commands.js'
import { readKnockVectors, receiverOf } from '../../support/knock-vectors.js'
import { credential } from '../config/config-support.js'
import { knock, knockPort, laptop, start, TestClock } from '../controller/knock-support.js'
import type { Vector } from './format-checks.js'
import { formatChecks, lengthsOf } from './format-checks.js'
import { toy } from '../../fixtures/new-format/knock/toy.js'

/** The options of a vector's credential stand beside what every vector has. */
function vectorsOf(type: string, format: KnockFormat): Vector[] {
  const file = path.join(root, 'test/vectors', `${format.id}.json`)
  const { cases } = JSON.parse(fs.readFileSync(file, 'utf8')) as { cases: (Vector & Record<string, unknown>)[] }
  return cases.map(({ name, outcome, port, payload, time, random, address, asks, ...options }) => {
    const yaml = Object.entries({ type, opens: ['s'], ...options }).map(
      ([key, value]) => `${key}: ${JSON.stringify(value)}`,
    )
    const secret = format.secretOf(credential(yaml.join(', ')))
    return Object.assign(
      { name, outcome, port, payload, secret },
      time === undefined ? {} : { time, random, address, asks },
    ) as Vector
  })
}

const toyKeys = ['a', 'b'].map(text => ({ key: Buffer.from(text) }))
const seed = Buffer.from('00112233', 'hex')
const toyKnock = (key = toyKeys[0] as { key: Buffer }, time = start) =>
  toy.encode({ port: knockPort, time, random: () => seed }, key)
const changed = (bytes: Buffer, at: number) => {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] as number) ^ 1
  return copy
}
const toyVectors: Vector[] = [
  ...toyKeys.map(secret => ({
    outcome: 'accepted',
    secret,
    payload: toyKnock(secret),
    time: start,
    random: '00112233',
  })),
  { outcome: 'malformed', secret: toyKeys[0], payload: toyKnock().subarray(1) },
  { outcome: 'unknown-tag', secret: toyKeys[0], payload: changed(toyKnock(), 0) },
  { outcome: 'bad-hash', secret: toyKeys[0], payload: changed(toyKnock(), 31) },
].map(({ payload, ...rest }) => ({ ...rest, name: rest.outcome, port: knockPort, payload: payload.toString('hex') }))

for (const { type, formats } of credentialTypes) {
  for (const format of formats as readonly KnockFormat[]) {
    describe(`the format ${format.id}`, () => {
      for (const [name, check] of Object.entries(formatChecks)) it(name, () => check(format, vectorsOf(type, format)))

      it('has shapes that the kernel knows its packets by', () => {
        const port = 4000
        for (const { secret, time = 0 } of vectorsOf(type, format)) {
          const shaped = { ...(secret as object), type, port, onBehalfOf: ['0.0.0.0/0'] }
          const second = format.rotation && { secondWord: format.rotation.secondWord(secret, time) }
          const lengths = lengthsOf(format, secret).map(length => length + 8)
          const want = format.varied
            ? { udpLengths: lengths, firstBytes: format.varied.firstBytes, port }
            : { udpLength: lengths[0], firstWord: format.firstWord(secret, time), ...second, port }
          const shapes = knockFormats.shapesOf(shaped, time)
          assert.ok(shapes.some(shape => JSON.stringify(shape) === JSON.stringify(want)))
          const plain = knockFormats.shapesOf({ ...shaped, onBehalfOf: [] }, time)
          assert.equal(plain.length, shapes.length - knockFormats.of(type).filter(each => each.carriesAddress).length)
        }
      })
    })
  }
}

for (const one of credentialTypes) {
  if (!('signed' in one)) continue
  const { type, signed } = one
  const vectors = readKnockVectors()
  const { identity } = receiverOf(vectors).server
  const secret = signed.secretOf({ identity })
  const packets = vectors.cases
    .map(({ name, now, payload }) => ({ name, time: now / 1000, bytes: Buffer.from(payload, 'hex') }))
    .filter(({ name, bytes }) => name.startsWith('accepted') && signed.lengths.includes(bytes.length))
  const begins = (bytes: Buffer, time: number) =>
    signed.wordsOf(secret, time).every((word, i) => word === bytes.readUInt32BE(4 * i))

  describe(`the signed format of ${type}`, () => {
    it('has vectors, which begin with the words of their period and pass the check', () => {
      assert.ok(packets.length > 0)
      for (const { name, time, bytes } of packets) {
        const around = [-1, 0, 1].map(period => time + period * signed.periodSeconds)
        assert.ok(
          around.some(each => begins(bytes, each)),
          name,
        )
        assert.ok(signed.isFor(bytes, 0, bytes.length, secret), name)
      }
    })

    it('refuses a packet with one changed bit, and one for another server', () => {
      for (const { name, time, bytes } of packets.slice(0, 2)) {
        const start = [-1, 0, 1].map(period => time + period * signed.periodSeconds).find(each => begins(bytes, each))
        for (let bit = 0; bit < bytes.length * 8; bit++) {
          const other = Buffer.from(bytes)
          other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7))
          const isTaken = begins(other, start ?? 0) && signed.isFor(other, 0, other.length, secret)
          assert.ok(!isTaken, `${name}: bit ${bit}`)
        }
        assert.ok(!signed.isFor(bytes, 0, bytes.length, { identity: Buffer.alloc(32, 7) }), name)
      }
    })

    it('never throws, and takes no random bytes', () => {
      fc.assert(
        fc.property(fc.constantFrom(...signed.lengths), fc.infiniteStream(fc.nat(255)), (length, octets) => {
          const bytes = Buffer.from(Array.from({ length }, () => octets.next().value as number))
          return !signed.isFor(bytes, 0, length, secret)
        }),
        { numRuns: 50 },
      )
    })

    it('has shapes that the kernel knows its packets by, and a secret that is restored', () => {
      for (const { time, bytes } of packets) {
        const shapes = knockFormats.shapesOf({ ...secret, type, port: 4000, onBehalfOf: [] }, time)
        const [firstWord, secondWord] = [bytes.readUInt32BE(0), bytes.readUInt32BE(4)]
        const want = { udpLength: bytes.length + 8, firstWord, secondWord, port: 4000 }
        assert.ok(shapes.some(shape => JSON.stringify(shape) === JSON.stringify(want)))
      }
      assert.deepEqual(signed.secretOf(structuredClone(secret)), secret)
      assert.notDeepEqual(signed.identityOf(secret), signed.identityOf({ identity: Buffer.alloc(32, 7) }))
    })
  })
}

describe('the types of credentials and their formats', () => {
  it('has formats in each entry, but for those of sequences', () => {
    const empty = credentialTypes.filter(one => one.formats.length === 0 && !('signed' in one))
    assert.deepEqual(
      empty.map(({ type }) => type),
      ['sequence', 'one-time', 'rotating'],
    )
  })

  it('has no two formats of one name, nor two types', () => {
    const ids = knockFormats.all.map(({ id }) => id)
    assert.deepEqual([...new Set(ids)], ids)
    const types = credentialTypes.map(({ type }) => type)
    assert.deepEqual([...new Set(types)], types)
  })

  it('refuses two formats of one length whose first words change with time', () => {
    const other: KnockFormat<SymmetricSecret> = { ...symmetric, id: 'other' }
    const make = (...formats: readonly KnockFormat<SymmetricSecret>[]) =>
      new KnockFormats([
        { type: 'ssh', formats: [], signed: signedFormat },
        ...formats.map(format => ({ type: format.id, formats: [format] })),
      ])
    assert.throws(() => make(symmetric, other), /^Error: symmetric and other both have packets of 160 bytes/)
    assert.throws(() => make({ ...other, payloadLength: 256 }), /ssh and other both have packets of 256 bytes/)
    assert.throws(() => new KnockFormats([{ type: 'both', formats: [symmetric, other] }]), /symmetric and other/)
    assert.equal(make(symmetric, { ...other, payloadLength: 161 }).all.length, 2)
    const { rotation: _, ...steady } = other
    assert.equal(make(symmetric, steady).all.length, 2)
  })

  it('has secrets of each type that its formats share', () => {
    for (const { type, formats } of credentialTypes) {
      for (const format of formats as readonly KnockFormat[]) {
        for (const { secret } of vectorsOf(type, format)) {
          const shared = knockFormats.secretOf({ ...(secret as object), type })
          assert.deepEqual(shared, { secret, identity: format.identityOf(secret) })
        }
      }
    }
  })

  it('knows no formats of sequences', () => {
    assert.deepEqual(knockFormats.of('sequence'), [])
    assert.throws(() => knockFormats.secretOf({ type: 'sequence' }), /not knocked by single packets/)
    assert.throws(() => knockFormats.encode('sequence', { port: 1, time: 0, random: () => seed }, {}), /no format/)
  })
})

describe('the checks of a format', () => {
  for (const [name, check] of Object.entries(formatChecks))
    it(`hold for one that is right: ${name}`, () => check(toy, toyVectors))

  const right: KnockFormat = toy
  const toyLength = toy.payloadLength
  const timeAt = (bytes: Buffer, at: number) => Number(bytes.readBigUInt64LE(at + 4))
  const takeAll: KnockFormat['verify'] = (bytes, at) => ({ time: timeAt(bytes, at), digestAt: at + 16 })
  /** Does not look at the last byte. */
  const careless: KnockFormat['verify'] = (bytes, at, port, secret) => {
    const random = () => bytes.subarray(at + 12, at + 16)
    const whole = right.encode({ port, time: timeAt(bytes, at), random }, secret)
    return whole.subarray(0, 31).equals(bytes.subarray(at, at + 31))
      ? takeAll(bytes, at, port, secret, toyLength)
      : undefined
  }
  /** Verifies, and then tells something else. */
  const changing =
    (change: (at: number) => Partial<VerifiedKnock>): KnockFormat['verify'] =>
    (bytes, at, port, secret) => {
      const knock = right.verify(bytes, at, port, secret, toyLength)
      return knock && { ...knock, ...change(at) }
    }
  interface Broken {
    readonly name: string
    readonly check: keyof typeof formatChecks
    readonly part?: Partial<KnockFormat>
    readonly vectors?: readonly Vector[]
    readonly message: RegExp
  }
  const broken: readonly Broken[] = [
    { name: 'has no vectors', check: 'vectors', vectors: [], message: /no vector is accepted/ },
    {
      name: 'has no wrong vector',
      check: 'vectors',
      vectors: toyVectors.slice(0, 2),
      message: /no vector is malformed/,
    },
    { name: 'takes a wrong vector', check: 'vectors', part: { verify: takeAll }, message: /bad-hash/ },
    { name: 'encodes nothing', check: 'encoding', part: { encode: () => Buffer.alloc(32) }, message: /accepted/ },
    {
      name: 'tells another time',
      check: 'encoding',
      part: { verify: changing(() => ({ time: 1 })) },
      message: /accepted/,
    },
    {
      name: 'has vectors of one secret',
      check: 'verifying',
      vectors: toyVectors.filter(({ secret }) => secret === toyKeys[0]),
      message: /all vectors have the same secret/,
    },
    { name: 'has one identity for all', check: 'verifying', part: { identityOf: () => seed }, message: /same secret/ },
    {
      name: 'looks at no port',
      check: 'verifying',
      part: {
        verify: (bytes, at, _, secret) => right.verify(bytes, at, 1, secret, toyLength),
        encode: (request, secret) => right.encode({ ...request, port: 1 }, secret),
      },
      message: /verified for another port/,
    },
    {
      name: 'looks at no secret',
      check: 'verifying',
      part: {
        verify: (bytes, at, port) => right.verify(bytes, at, port, toyKeys[0], toyLength),
        encode: request => right.encode(request, toyKeys[0]),
      },
      message: /verified by another secret/,
    },
    {
      name: 'tells no time',
      check: 'verifying',
      part: { verify: changing(() => ({ time: -1 })) },
      message: /another time/,
    },
    {
      name: 'has its digest elsewhere',
      check: 'verifying',
      part: { verify: changing(at => ({ digestAt: at + 20 })) },
      message: /the digest is not in the packet/,
    },
    { name: 'does not look at the last byte', check: 'bits', part: { verify: careless }, message: /bit 248/ },
    { name: 'throws', check: 'garbage', part: { verify: () => assert.fail('thrown') }, message: /thrown/ },
    { name: 'takes anything', check: 'garbage', part: { verify: takeAll }, message: /random bytes are taken/ },
    { name: 'says another length', check: 'shape', part: { payloadLength: 33 }, message: /length/ },
    { name: 'says another first word', check: 'shape', part: { firstWord: () => 1 }, message: /first word/ },
    {
      name: 'takes for a digest what is always the same',
      check: 'digests',
      part: { encode: request => right.encode({ ...request, random: () => seed }, toyKeys[0]) },
      message: /two knocks have one digest/,
    },
    {
      name: 'does not restore its secret',
      check: 'posting',
      part: { secretOf: secret => secret },
      message: /the secret is not restored/,
    },
  ]
  for (const { name, check, part, vectors = toyVectors, message } of broken) {
    it(`fail for one that ${name}`, () => {
      assert.throws(
        () => {
          formatChecks[check]({ ...right, ...part }, vectors)
        },
        (error: Error) => message.test(`${error.message} ${String(error.cause)}`),
      )
    })
  }

  it('have each been seen to fail', () => {
    assert.deepEqual(new Set(broken.map(({ check }) => check)), new Set(Object.keys(formatChecks)))
  })
})

describe('a format that is new', () => {
  const formats = new KnockFormats([...credentialTypes, { type: 'toy', formats: [toy] }])
  const [secret] = toyKeys
  const { identity } = formats.secretOf({ type: 'toy', ...secret })
  const newOne: PacketCredential = { ...laptop, name: 'new', type: 'toy', secret, identity }
  const verifier = () => {
    // As the worker gets them.
    const posted = structuredClone([laptop, newOne])
    return new KnockVerifier(posted, ({ skew }) => new ReplayCache({ skew, entries: 9 }), new TestClock(), formats)
  }
  const outcome = (verifier: KnockVerifier, payload: Buffer) => {
    const decision = verifier.verify(knock({ payload }))
    return decision.kind === 'grant'
      ? decision.credential.name
      : decision.kind === 'refuse'
        ? decision.reason
        : 'to verify'
  }

  it('has a shape for the kernel', () => {
    const shape = { udpLength: 40, firstWord: toyKnock().readUInt32BE(0), port: 7 }
    assert.deepEqual(formats.shapesOf({ ...newOne, ...secret, port: 7 }, start), [shape])
  })

  it('is verified beside the others, remembered, and refused when it is wrong', () => {
    const both = verifier()
    assert.equal(outcome(both, toyKnock()), 'new')
    assert.equal(outcome(both, toyKnock()), 'replayed')
    assert.equal(outcome(both, changed(toyKnock(), 20)), 'bad-hash')
    assert.equal(outcome(both, changed(toyKnock(), 1)), 'unknown-tag')
    assert.equal(outcome(both, toyKnock().subarray(1)), 'malformed')
    assert.equal(outcome(both, toyKnock(secret, start - 11)), 'skewed')
    const decision = both.verify(knock())
    assert.equal(decision.kind === 'grant' && decision.credential.name, 'laptop')
  })

  it('is encoded by its type', () => {
    const request = { port: knockPort, time: start, random: () => seed }
    assert.deepEqual(formats.encode('toy', request, secret), toyKnock())
    assert.throws(() => formats.encode('toy', { ...request, address: seed }, secret), /carries an address/)
  })

  it('is malformed where it is not registered', () => {
    const plain = new KnockVerifier([laptop], () => new ReplayCache({ skew: 10, entries: 9 }), new TestClock())
    assert.equal(outcome(plain, toyKnock()), 'malformed')
  })
})
