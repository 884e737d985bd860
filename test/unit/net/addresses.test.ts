import assert from 'node:assert/strict'
import { SocketAddress } from 'node:net'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  addressBytes,
  addressFromBytes,
  canonicalAddress,
  familyOf,
  maskAddress,
  parseAddress,
} from '../../../src/net/addresses.js'
import { table } from '../../support/value-table.js'

table<string, ReturnType<typeof parseAddress>>('parseAddress', parseAddress, [
  ['192.0.2.1', { version: 4, address: '192.0.2.1' }],
  ['2001:DB8::0:1', { version: 6, address: '2001:db8::1' }],
  ['::ffff:192.0.2.1', undefined],
  ['192.0.2.0/24', undefined],
  ['fe80::1%eth0', undefined],
  ['', undefined],
])
table<readonly [string, number], string>('maskAddress', ([address, length]) => maskAddress(address, length), [
  [['192.0.2.255', 24], '192.0.2.0'],
  [['192.0.2.255', 32], '192.0.2.255'],
  [['255.255.255.255', 0], '0.0.0.0'],
  [['2001:db8:1:2:3:4:5:6', 64], '2001:db8:1:2::'],
  [['2001:db8:1:2:3:4:5:6', 17], '2001::'],
  [['::ffff:192.0.2.1', 128], '::ffff:192.0.2.1'],
  [['x', 8], undefined],
])

table<string, string>('canonicalAddress', canonicalAddress, [
  ['192.0.2.1', '192.0.2.1'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['::abcd:1', '::171.205.0.1'],
  ['192.0.2', undefined],
  ['192.0.2.01', undefined],
  ['fe80::1%eth0', undefined],
])
table<string, string>('addressBytes', addressBytes, [
  ['0.0.0.1', '\0\0\0\x01'],
  ['2001:db8::1', ' \x01\r\xb8\0\0\0\0\0\0\0\0\0\0\0\x01'],
  ['', undefined],
])
table<string, number>('familyOf', familyOf, [
  ['192.0.2.0/24', 4],
  ['::', 6],
])

describe('addressFromBytes', () => {
  const table4 = [
    ['00000000', '0.0.0.0'],
    ['c0000201', '192.0.2.1'],
    ['ffffffff', '255.255.255.255'],
  ] as const
  for (const [hex, want] of table4) {
    it(want, () => assert.equal(addressFromBytes(Buffer.from(hex, 'hex'), 0, 4), want))
  }

  // RFC 5952, section 4, and its examples.
  const table6 = [
    ['0000 0000 0000 0000 0000 0000 0000 0000', '::'],
    ['0000 0000 0000 0000 0000 0000 0000 0001', '::1'],
    ['0001 0000 0000 0000 0000 0000 0000 0000', '1::'],
    ['2001 0db8 0000 0000 0000 0000 0000 0001', '2001:db8::1'],
    ['2001 0db8 0000 0000 0001 0000 0000 0001', '2001:db8::1:0:0:1'],
    ['2001 0db8 0000 0001 0001 0001 0001 0001', '2001:db8:0:1:1:1:1:1'],
    ['2001 0000 0000 0001 0000 0000 0000 0001', '2001:0:0:1::1'],
    ['2001 0db8 0000 0000 0000 0000 0002 0001', '2001:db8::2:1'],
    ['2001 0db8 aaaa bbbb cccc dddd eeee 00ff', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:ff'],
    ['0000 0000 0001 0000 0000 0000 0001 0000', '0:0:1::1:0'],
    ['0001 0002 0003 0004 0005 0006 0000 0000', '1:2:3:4:5:6::'],
    ['0000 0002 0003 0004 0005 0006 0007 0000', '0:2:3:4:5:6:7:0'],
    ['ffff ffff ffff ffff ffff ffff ffff ffff', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ] as const
  for (const [groups, want] of table6) {
    it(want, () => assert.equal(addressFromBytes(Buffer.from(`00${groups.replaceAll(' ', '')}`, 'hex'), 1, 6), want))
  }

  it('agrees with inet_ntop', () => {
    const group = fc.oneof(fc.constant(0), fc.constant(0), fc.constant(0xffff), fc.integer({ min: 0, max: 0xffff }))
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), groups => {
        const bytes = Buffer.alloc(16)
        groups.forEach((group, i) => bytes.writeUInt16BE(group, i * 2))
        const whole = groups.map(group => group.toString(16)).join(':')
        const want = new SocketAddress({ address: whole, family: 'ipv6' }).address
        assert.equal(addressFromBytes(bytes, 0, 6), want)
        assert.equal(canonicalAddress(whole), want)
      }),
    )
  })
})
