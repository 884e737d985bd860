import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseIdentity } from '../../../../src/knock/pk1/identity.js'
import { decodeRequest, encodeRequest, plainRequest } from '../../../../src/knock/pk1/request.js'
import { draftSigned, newServerKey, decryptSigned } from '../../../../src/knock/pk1/signed.js'
import { decryptSymmetric, sealSymmetric, symmetric, symmetricLength } from '../../../../src/knock/pk1/symmetric.js'

const server = newServerKey(randomBytes)
const secret = { identity: server.identity, key: randomBytes(32) }
const now = () => BigInt(Date.now())
const octets = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map(bytes => Buffer.from(bytes))

const address = fc.oneof(octets(4), octets(16))
const requests = fc
  .record({
    time: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    close: fc.boolean(),
    window: fc.option(fc.integer({ min: 1, max: 2 ** 32 - 1 })),
    prefix: fc.option(fc.integer({ min: 1, max: 128 })),
    other: fc.option(address),
    host: fc.option(address),
    services: fc.uniqueArray(fc.constantFrom('a', 'B-2', 'ssh', 'web_1', '0')).map(names => names.sort()),
  })
  .map(request => ({ ...request }))

describe('a request', () => {
  it('is read as it was written, and has one spelling', () => {
    fc.assert(
      fc.property(requests, request => {
        const bytes = encodeRequest(request, 96)
        assert.ok(bytes)
        const read = decodeRequest(bytes, 0, 96)
        assert.deepEqual(read, request)
        assert.deepEqual(encodeRequest(request, 96), bytes)
      }),
    )
  })

  it('has no other spelling, and no bytes make it throw', () => {
    const head = fc.tuple(fc.constant(1), fc.integer({ min: 0, max: 63 }), fc.uint8Array({ maxLength: 60 }))
    const bytes = fc.oneof(
      octets(96),
      head.map(([version, flags, rest]) => Buffer.concat([Buffer.from([version, flags]), Buffer.from(rest)], 96)),
    )
    fc.assert(
      fc.property(bytes, given => {
        const read = decodeRequest(given, 0, 96)
        if (read) assert.deepEqual(encodeRequest(read, 96), given)
      }),
      { numRuns: 2000 },
    )
  })

  const unfit = [
    ['a service with a name that no service has', { services: ['a b'] }],
    ['services in another order', { services: ['b', 'a'] }],
    ['a window of nothing', { window: 0 }],
    ['a prefix of nothing', { prefix: 0 }],
    ['names that are longer than the packet', { services: ['a'.repeat(40), 'b'.repeat(40), 'c'.repeat(40)] }],
  ] as const
  for (const [name, part] of unfit) {
    it(`is not written with ${name}`, () => {
      assert.equal(encodeRequest({ ...plainRequest(0n), ...part }, 96), undefined)
    })
  }
})

describe('an identity', () => {
  const good = `pk1:${Buffer.alloc(32, 5).toString('base64url')}`
  it('is read', () => assert.deepEqual(parseIdentity(good), Buffer.alloc(32, 5)))
  const wrong = [
    ['', 'empty'],
    [good.slice(0, -1), 'cut'],
    [`${good}A`, 'too long'],
    [`${good}=`, 'padded'],
    [`${good.slice(0, -1)}V`, 'with bits set that mean nothing'],
    [good.replace('pk1:', 'PK1:'), 'in capitals'],
    [` ${good}`, 'with a blank'],
    [`pk1:${Buffer.alloc(32, 0xff).toString('base64url')}`, 'with the highest bit set'],
  ] as const
  for (const [text, name] of wrong) it(`is not read ${name}`, () => assert.equal(parseIdentity(text), undefined))
})

describe('any bytes', () => {
  it('are refused by both kinds, and make neither throw', () => {
    for (let i = 0; i < 300; i++) {
      for (const length of [160, 256, 1024]) {
        const place = { bytes: randomBytes(length), at: 0, length, port: i }
        assert.equal(decryptSymmetric(place, secret), 'check')
        assert.equal(decryptSigned(place, server), 'check')
      }
    }
  })
})

describe('packets', () => {
  const samples = 1000
  const symmetricPacket = () => sealSymmetric(plainRequest(now()), 1, randomBytes(16), secret) as Buffer
  const signedPacket = (certificate?: Buffer) => {
    const signer = certificate ? { certificate } : { fingerprint: Buffer.alloc(32) }
    const draft = draftSigned(plainRequest(now()), signer, server.identity, 1, randomBytes)
    return draft?.seal(Buffer.alloc(64)) as Buffer
  }

  it('have their sizes', () => {
    assert.equal(symmetricPacket().length, symmetricLength)
    assert.equal(signedPacket().length, 256)
    assert.equal(signedPacket(Buffer.alloc(508)).length, 1024)
    assert.equal(signedPacket(Buffer.alloc(798)).length, 1024)
    const tooLong = { certificate: Buffer.alloc(799) }
    assert.equal(draftSigned(plainRequest(0n), tooLong, server.identity, 1, randomBytes), undefined)
  })

  for (const [name, make] of [
    ['symmetric', symmetricPacket],
    ['signed', () => signedPacket()],
  ] as const) {
    const packets = Array.from({ length: samples }, make)

    it(`are random behind the prefix, by position and by value: ${name}`, () => {
      const length = packets[0]?.length ?? 0
      for (let at = 8; at < length; at++) {
        // By the high and the low half of the byte: 16 values each, 15 degrees of freedom.
        for (const shift of [0, 4]) {
          const counts = new Array<number>(16).fill(0)
          for (const packet of packets) {
            const value = ((packet[at] as number) >> shift) & 15
            counts[value] = (counts[value] ?? 0) + 1
          }
          const want = samples / 16
          const chi = counts.reduce((sum, count) => sum + (count - want) ** 2 / want, 0)
          // Above this once in 10^9 places; there are some 500.
          assert.ok(chi < 70, `position ${at}: ${chi}`)
        }
      }
    })

    it(`share no 8 bytes but the prefix: ${name}`, () => {
      const seen = new Set<string>()
      for (const text of packets) {
        const packet = text.toString('latin1')
        for (let at = 8; at + 8 <= packet.length; at++) {
          const part = packet.slice(at, at + 8)
          assert.ok(!seen.has(part))
          seen.add(part)
        }
      }
    })
  }

  it('of one user have hints that only the identity shows to be one', () => {
    const { rotation } = symmetric
    const time = Math.floor(Date.now() / 1000)
    const encode = () => symmetric.encode({ port: 1, time, random: randomBytes }, secret)
    const [one, two] = [encode(), encode()]
    assert.notDeepEqual(one.subarray(40, 48), two.subarray(40, 48))
    assert.ok(rotation)
    for (const packet of [one, two]) {
      assert.equal(rotation.hintIn(packet, 0, secret), rotation.hintOf(secret, time))
    }
  })
})
