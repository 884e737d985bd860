import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { netmask, parsePrefix, prefixContains, splitPrefix, withoutContained } from '../../../src/net/prefixes.js'
import { ValueError } from '../../../src/util/value-error.js'
import { table } from '../../support/value-table.js'

// The right-hand sides are what nft prints for the elements of a set.
table<string, string>('parsePrefix', parsePrefix, [
  ['192.0.2.1', '192.0.2.1/32'],
  ['192.0.2.0/24', '192.0.2.0/24'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['2001:DB8:0:0::/64', '2001:db8::/64'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1/128'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1/128'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1/128'],
  ['64:ff9b::192.0.2.1', '64:ff9b::c000:201/128'],
  ['::', '::/128'],
  ['::1', '::1/128'],
  ['::abcd:1', '::171.205.0.1/128'],
  ['::/0', '::/0'],
  ['192.0.2.1/24', undefined],
  ['2001:db8::1/64', undefined],
  ['::ffff:192.0.2.1', undefined],
  ['::ffff:c000:201', undefined],
  ['::ffff:0:0/96', undefined],
  ['192.0.2.0/33', undefined],
  ['::/129', undefined],
  ['192.0.2.0/', undefined],
  ['192.0.2.0/024', undefined],
  ['192.0.2.0/24/24', undefined],
  ['192.0.2', undefined],
  ['192.0.2.01', undefined],
  ['fe80::1%eth0', undefined],
  ['', undefined],
  ['host.example', undefined],
])
table<string[], string[]>('withoutContained', withoutContained, [
  [['10.0.0.0/16', '10.0.0.0/8'], ['10.0.0.0/8']],
  [[], []],
  [
    ['10.1.0.0/16', '::/0', '10.0.0.0/8', '10.255.255.255', '11.0.0.0/8', '2001:db8::/32'],
    ['10.0.0.0/8', '11.0.0.0/8', '::/0'],
  ],
  [['10.0.0.0/8', '10.0.0.0/8'], ['10.0.0.0/8']],
])

describe('prefixes', () => {
  it('name the right one when bits are set after the length', () => {
    assert.throws(
      () => parsePrefix('2001:db8::5:1/64'),
      (error: unknown) =>
        error instanceof ValueError && error.hint === 'the prefix is 2001:db8::/64, the single address 2001:db8::5:1',
    )
  })

  it('are read back as they are written, for any address', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6()).filter(text => isIP(text) !== 0)
    fc.assert(
      fc.property(address, text => {
        let prefix: string
        try {
          prefix = parsePrefix(text)
        } catch (error) {
          assert.match((error as ValueError).hint ?? '', /^write \d/)
          return
        }
        assert.equal(parsePrefix(prefix), prefix)
        const [canonical = ''] = prefix.split('/')
        // URL has an IPv6 parser of its own.
        if (isIP(text) === 6)
          assert.equal(new URL(`http://[${canonical}]`).hostname, new URL(`http://[${text}]`).hostname)
      }),
    )
  })
})

table<string, ReturnType<typeof splitPrefix>>('splitPrefix', splitPrefix, [
  ['192.0.2.0/24', { version: 4, address: '192.0.2.0', length: 24 }],
  ['::/0', { version: 6, address: '::', length: 0 }],
  ['192.0.2.1', { version: 4, address: '192.0.2.1', length: 32 }],
  ['2001:db8::1', { version: 6, address: '2001:db8::1', length: 128 }],
])
table<readonly [string, string], boolean>('prefixContains', ([prefix, address]) => prefixContains(prefix, address), [
  [['192.0.2.0/24', '192.0.2.255'], true],
  [['192.0.2.0/24', '192.0.3.0'], false],
  [['192.0.2.0/25', '192.0.2.128'], false],
  [['192.0.2.1', '192.0.2.1'], true],
  [['192.0.2.1', '192.0.2.2'], false],
  [['0.0.0.0/0', '255.255.255.255'], true],
  [['2001:db8::/33', '2001:db8:7fff::1'], true],
  [['2001:db8::/33', '2001:db8:8000::'], false],
  [['::/0', '2001:db8::1'], true],
  [['::/0', '192.0.2.1'], false],
  [['0.0.0.0/0', '::'], false],
])
table<readonly [4 | 6, number], string>('netmask', ([version, length]) => netmask(version, length), [
  [[4, 0], '0.0.0.0'],
  [[4, 9], '255.128.0.0'],
  [[4, 32], '255.255.255.255'],
  [[6, 0], '::'],
  [[6, 57], 'ffff:ffff:ffff:ff80::'],
  [[6, 128], 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
])
