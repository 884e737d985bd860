import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PkdFormatError } from '../../../src/knock/errors.js'
import {
  decodePkd,
  digestOffset,
  encodePkd,
  formatTag,
  maxKeyLength,
  parseKey,
  parseTag,
  payloadLength,
  readTime,
  verifyPkd,
} from '../../../src/knock/pkd.js'
import { root } from '../../support/commands.js'

interface Vector {
  readonly name: string
  readonly outcome: 'accepted' | 'malformed' | 'unknown-tag' | 'bad-hash'
  readonly key: string
  readonly tag: string
  readonly port: number
  readonly payload: string
  readonly time?: number
  readonly random?: string
}

const file = path.join(root, 'test/vectors/pkd.json')
const vectors = (JSON.parse(fs.readFileSync(file, 'utf8')) as { cases: Vector[] }).cases

/** What a receiver with this tag and key makes of the vector. */
function outcomeOf({ key, tag, port, payload }: Vector): Vector['outcome'] {
  const bytes = Buffer.from(payload, 'hex')
  const fields = decodePkd(bytes)
  if (!fields) return 'malformed'
  if (!fields.tag.equals(parseTag(tag))) return 'unknown-tag'
  return verifyPkd(bytes, 0, port, parseKey(key)) ? 'accepted' : 'bad-hash'
}

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map(bytes => Buffer.from(bytes))
const port = fc.integer({ min: 0, max: 65_535 })
const time = fc.oneof(fc.integer({ min: 0, max: 2 ** 32 + 5 }), fc.maxSafeNat())
const fields = fc.record({ tag: bytes(4), time, random: bytes(12) }, { noNullPrototype: true })
const key = fc.uint8Array({ minLength: 1, maxLength: maxKeyLength }).map(raw => {
  return parseKey(`0x${Buffer.from(raw).toString('hex')}`)
})

describe('pkd vectors', () => {
  for (const vector of vectors) {
    it(`${vector.outcome}: ${vector.name}`, () => assert.equal(outcomeOf(vector), vector.outcome))
  }

  for (const { name, outcome, key, tag, port, time, random, payload } of vectors) {
    if (outcome !== 'accepted') continue
    it(`encodes to the same bytes, and reads back: ${name}`, () => {
      assert.ok(time !== undefined && random !== undefined)
      const fields = { tag: parseTag(tag), time, random: Buffer.from(random, 'hex') }
      const encoded = encodePkd(fields, port, parseKey(key))
      assert.equal(encoded.toString('hex'), payload)
      assert.deepEqual(decodePkd(encoded), fields)
    })
  }

  it('name every outcome', () => {
    assert.deepEqual(new Set(vectors.map(({ outcome }) => outcome)).size, 4)
  })
})

describe('tags and keys', () => {
  const tags = [
    ['ASCII', 'SSHK', '5353484b'],
    ['short ASCII', 'A', '41000000'],
    ['none', '', '00000000'],
    ['hex', '0x00010203', '00010203'],
    ['short hex', '0xab', 'ab000000'],
    ['hex, X as a capital', '0XAB', 'ab000000'],
    ['hex with an odd digit, the high half', '0xabc', 'abc00000'],
    ['hex, one digit', '0x7', '70000000'],
    ['hex zero', '0x0', '00000000'],
    ['beyond ASCII, as UTF-8', 'äb', 'c3a46200'],
  ] as const
  for (const [name, text, want] of tags) {
    it(`tag ${name}`, () => assert.equal(parseTag(text).toString('hex'), want))
  }

  const keys = [
    ['ASCII', 'test', '74657374'],
    ['hex', '0x74657374', '74657374'],
    ['hex with an odd digit, the high half', '0xafbea', 'afbea0'],
    ['of zeros', '0x00', '00'],
    ['of 40 bytes', 'k'.repeat(40), '6b'.repeat(40)],
    ['of 40 bytes in hex', `0x${'6b'.repeat(40)}`, '6b'.repeat(40)],
    ['of 39 and a half bytes in hex', `0x${'6b'.repeat(39)}6`, `${'6b'.repeat(39)}60`],
  ] as const
  for (const [name, text, want] of keys) {
    it(`key ${name}, padded to 40 bytes`, () => assert.equal(parseKey(text).toString('hex'), want.padEnd(80, '0')))
  }

  const wrong: readonly [string, () => unknown, RegExp][] = [
    ['tag of 5 bytes', () => parseTag('ABCDE'), /the tag is 5 bytes long, at most 4/],
    ['tag of 5 hex bytes', () => parseTag('0x0102030405'), /the tag is 5 bytes long/],
    ['tag of 4 and a half hex bytes', () => parseTag('0x010203040'), /the tag is 5 bytes long/],
    ['tag of 4 letters and 5 bytes', () => parseTag('abcä'), /the tag is 5 bytes long/],
    ['tag with 0x and nothing', () => parseTag('0x'), /is not hex after it/],
    ['tag with 0x and no hex', () => parseTag('0xgg'), /is not hex after it/],
    ['empty key', () => parseKey(''), /the key is empty/],
    ['key of 41 bytes', () => parseKey('k'.repeat(41)), /the key is 41 bytes long, at most 40/],
    ['key of 41 hex bytes', () => parseKey(`0x${'00'.repeat(41)}`), /the key is 41 bytes long/],
    ['key of 40 and a half hex bytes', () => parseKey(`0x${'00'.repeat(40)}1`), /the key is 41 bytes long/],
    ['key with 0x and nothing', () => parseKey('0x'), /the key starts with 0x/],
    ['key with hex and a blank', () => parseKey('0x12 34'), /the key starts with 0x/],
  ]
  for (const [name, parse, message] of wrong) {
    it(`refused: ${name}`, () => {
      assert.throws(parse, error => error instanceof PkdFormatError && message.test(error.message))
    })
  }

  it('says nothing of the key itself in an error', () => {
    assert.throws(
      () => parseKey(`0xsecret`),
      error => !String(error).includes('secret'),
    )
    assert.throws(
      () => parseKey('secret'.repeat(10)),
      error => !String(error).includes('secret'),
    )
  })

  const written = [
    ['SSHK', 'SSHK'],
    ['A', 'A'],
    ['0x00000000', '0x00000000'],
    ['0x41004200', '0x41004200'],
    ['0x00414243', '0x00414243'],
    ['0x41422043', '0x41422043'],
    ['0x30783132', '0x30783132'],
    ['0x30583132', '0x30583132'],
  ] as const
  for (const [tag, want] of written) {
    it(`the tag ${tag} is written ${want}`, () => assert.equal(formatTag(parseTag(tag)), want))
  }

  it('any tag that was written is read back as it was', () => {
    fc.assert(fc.property(bytes(4), tag => parseTag(formatTag(tag)).equals(tag)))
  })
})

describe('encode and decode', () => {
  it('a knock of a zero tag is one', () => {
    const zero = { tag: parseTag(''), time: 0, random: Buffer.alloc(12) }
    const knock = encodePkd(zero, 1, parseKey('k'))
    assert.deepEqual(decodePkd(knock), zero)
    assert.ok(verifyPkd(knock, 0, 1, parseKey('k')))
  })

  it('decode of encode is identity', () => {
    fc.assert(
      fc.property(fields, port, key, (fields, port, key) => {
        assert.deepEqual(decodePkd(encodePkd(fields, port, key)), fields)
      }),
    )
  })

  it('decode never throws, and takes 56 bytes and no others', () => {
    const any = fc.oneof(
      bytes(payloadLength),
      fc.uint8Array({ maxLength: 120 }).map(bytes => Buffer.from(bytes)),
    )
    fc.assert(fc.property(any, any => (decodePkd(any) !== undefined) === (any.length === payloadLength)))
  })

  it('verifies what was encoded, wherever in a buffer it is', () => {
    fc.assert(
      fc.property(fields, port, key, fc.nat(40), fc.nat(40), (fields, port, key, before, after) => {
        const knock = encodePkd(fields, port, key)
        const buffer = Buffer.concat([Buffer.alloc(before, 0xa5), knock, Buffer.alloc(after, 0x5a)])
        assert.ok(verifyPkd(buffer, before, port, key))
        assert.equal(readTime(buffer, before), fields.time)
        assert.deepEqual(buffer.subarray(digestOffset(before), before + payloadLength), knock.subarray(24))
      }),
    )
  })

  it('does not verify with any single bit flipped', () => {
    fc.assert(
      fc.property(fields, port, key, (fields, port, key) => {
        const knock = encodePkd(fields, port, key)
        for (let bit = 0; bit < payloadLength * 8; bit++) {
          const at = bit >> 3
          knock[at] = (knock[at] as number) ^ (1 << (bit & 7))
          assert.equal(verifyPkd(knock, 0, port, key), false, `bit ${bit}`)
          knock[at] ^= 1 << (bit & 7)
        }
        assert.ok(verifyPkd(knock, 0, port, key))
      }),
      { numRuns: 20 },
    )
  })

  it('verifies for its own port and key only', () => {
    fc.assert(
      fc.property(fields, port, port, key, key, (fields, port, otherPort, key, otherKey) => {
        const knock = encodePkd(fields, port, key)
        assert.equal(verifyPkd(knock, 0, otherPort, key), otherPort === port)
        assert.equal(verifyPkd(knock, 0, port, otherKey), otherKey.equals(key))
      }),
    )
  })

  const highest: readonly (readonly [bigint, number])[] = [
    [2n ** 32n, 2 ** 32],
    [2n ** 53n - 2n, Number.MAX_SAFE_INTEGER - 1],
    [2n ** 53n - 1n, Number.MAX_SAFE_INTEGER],
    [2n ** 53n, Number.MAX_SAFE_INTEGER],
    [2n ** 63n, Number.MAX_SAFE_INTEGER],
    [2n ** 64n - 1n, Number.MAX_SAFE_INTEGER],
  ]
  for (const [time, want] of highest) {
    it(`reads the time ${time} as ${want}`, () => {
      const knock = Buffer.alloc(payloadLength)
      knock.writeBigUInt64LE(time, 4)
      assert.deepEqual([decodePkd(knock)?.time, readTime(knock, 0)], [want, want])
    })
  }
})
