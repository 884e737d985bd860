import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { SecretFormatError } from '../../../src/knock/secret-errors.js'
import { formatTag, parsePkdKey, parseTag, payloadLength, pkd, readTime } from '../../../src/knock/pkd.js'

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map(bytes => Buffer.from(bytes))

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
    it(`key ${name}, padded to 40 bytes`, () => assert.equal(parsePkdKey(text).toString('hex'), want.padEnd(80, '0')))
  }

  const wrong: readonly [string, () => unknown, RegExp][] = [
    ['tag of 5 bytes', () => parseTag('ABCDE'), /the tag is 5 bytes long, at most 4/],
    ['tag of 5 hex bytes', () => parseTag('0x0102030405'), /the tag is 5 bytes long/],
    ['tag of 4 and a half hex bytes', () => parseTag('0x010203040'), /the tag is 5 bytes long/],
    ['tag of 4 letters and 5 bytes', () => parseTag('abcä'), /the tag is 5 bytes long/],
    ['tag with 0x and nothing', () => parseTag('0x'), /is not hex after it/],
    ['tag with 0x and no hex', () => parseTag('0xgg'), /is not hex after it/],
    ['empty key', () => parsePkdKey(''), /the key is empty/],
    ['key of 41 bytes', () => parsePkdKey('k'.repeat(41)), /the key is 41 bytes long, at most 40/],
    ['key of 41 hex bytes', () => parsePkdKey(`0x${'00'.repeat(41)}`), /the key is 41 bytes long/],
    ['key of 40 and a half hex bytes', () => parsePkdKey(`0x${'00'.repeat(40)}1`), /the key is 41 bytes long/],
    ['key with 0x and nothing', () => parsePkdKey('0x'), /the key starts with 0x/],
    ['key with hex and a blank', () => parsePkdKey('0x12 34'), /the key starts with 0x/],
  ]
  for (const [name, parse, message] of wrong) {
    it(`refused: ${name}`, () => {
      assert.throws(parse, error => error instanceof SecretFormatError && message.test(error.message))
    })
  }

  it('says nothing of the key itself in an error', () => {
    assert.throws(
      () => parsePkdKey(`0xsecret`),
      error => !String(error).includes('secret'),
    )
    assert.throws(
      () => parsePkdKey('secret'.repeat(10)),
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

describe('the time of a knock', () => {
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
      assert.equal(readTime(knock, 0), want)
    })
  }
})

describe('a tag of zeros', () => {
  it('a knock of a zero tag is one', () => {
    const secret = { tag: parseTag(''), key: parsePkdKey('k') }
    const payload = pkd.encode({ port: 1, time: 0, random: size => Buffer.alloc(size) }, secret)
    assert.deepEqual([pkd.firstWord(secret, 0), pkd.verify(payload, 0, 1, secret, payloadLength)?.time], [0, 0])
  })
})
