import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { encodeObo, oboPayloadLength, requestedAddress, verifyObo } from '../../../src/knock/pkd-on-behalf.js'
import { parsePkdKey, parseTag } from '../../../src/knock/pkd.js'

const key = parsePkdKey('test')
const fields = { tag: parseTag('SSHK'), time: 1_700_000_000, random: Buffer.from('000102030405060708090a0b', 'hex') }
const ipv4 = Buffer.from([203, 0, 113, 9])
const ipv6 = Buffer.from('20010db8000000000000000000000001', 'hex')

describe('a knock on behalf of another', () => {
  it('has the bytes that its description says, over IPv4', () => {
    const payload = encodeObo(fields, ipv4, 62_201, key)
    const head = `5353484b00f1536500000000${fields.random.toString('hex')}0104 0000 cb007109${'00'.repeat(12)}`
    assert.equal(payload.subarray(0, 44).toString('hex'), head.replaceAll(' ', ''))
    const block = Buffer.concat([Buffer.from('f2f9f2f9', 'hex'), payload.subarray(0, 44), key])
    assert.equal(block.length, 88)
    assert.equal(payload.subarray(44).toString('hex'), createHash('sha256').update(block).digest('hex'))
    assert.equal(payload.length, oboPayloadLength)
    assert.deepEqual(requestedAddress(payload, 0), { version: 4, address: '203.0.113.9' })
    assert.deepEqual(requestedAddress(encodeObo(fields, ipv6, 1, key), 0), {
      version: 6,
      address: '2001:db8:0:0:0:0:0:1',
    })
  })

  it('is right for its port and key alone, and with no bit changed', () => {
    const payload = encodeObo(fields, ipv6, 62_201, key)
    assert.ok(verifyObo(Buffer.concat([Buffer.alloc(5), payload]), 5, 62_201, key))
    assert.ok(!verifyObo(payload, 0, 62_202, key))
    assert.ok(!verifyObo(payload, 0, 62_201, parsePkdKey('tesu')))
    for (let bit = 0; bit < oboPayloadLength * 8; bit++) {
      const wrong = Buffer.from(payload)
      wrong[bit >> 3] = (wrong[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.ok(!verifyObo(wrong, 0, 62_201, key), `bit ${bit}`)
    }
  })

  const odd: readonly [string, number, number][] = [
    ['another version', 24, 2],
    ['no version of IP', 25, 5],
    ['a reserved byte that is set', 26, 1],
    ['the other reserved byte', 27, 1],
    ['something behind an IPv4 address', 32, 1],
    ['something at the end', 43, 1],
  ]
  for (const [name, at, value] of odd) {
    it(`asks for nothing with ${name}`, () => {
      const payload = encodeObo(fields, ipv4, 1, key)
      payload[at] = value
      assert.equal(requestedAddress(payload, 0), undefined)
    })
  }

  it('asks for nothing with an IPv4 address written as IPv6', () => {
    const mapped = Buffer.from('00000000000000000000ffffcb007109', 'hex')
    assert.equal(requestedAddress(encodeObo(fields, mapped, 1, key), 0), undefined)
  })

  it('never throws on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: oboPayloadLength, maxLength: oboPayloadLength }), bytes => {
        requestedAddress(Buffer.from(bytes), 0)
        assert.ok(!verifyObo(Buffer.from(bytes), 0, 1, key))
      }),
    )
  })
})
