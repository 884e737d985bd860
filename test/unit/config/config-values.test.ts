import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  parseAbsolutePath,
  parseMask,
  parsePacketRate,
  parseRate,
  parseSkew,
  parseWindow,
} from '../../../src/config/values.js'
import { maskAddress, parseAddress } from '../../../src/net/addresses.js'
import type { PortRange } from '../../../src/net/ports.js'
import { mergePorts, parsePorts } from '../../../src/net/ports.js'
import { parsePrefix, withoutContained } from '../../../src/net/prefixes.js'
import { parseDuration } from '../../../src/util/duration.js'
import { ValueError } from '../../../src/util/value-error.js'
import { range } from './config-support.js'

/** What `parse` makes of each input; for undefined, that it refuses with a ValueError. */
function table<I, T>(name: string, parse: (input: I) => T, rows: readonly (readonly [I, T | undefined])[]): void {
  describe(name, () => {
    for (const [input, want] of rows) {
      it(`${want === undefined ? 'refuses' : 'reads'} ${JSON.stringify(input)}`, () => {
        if (want === undefined) assert.throws(() => parse(input), ValueError)
        else assert.deepEqual(parse(input), want)
      })
    }
  })
}

table<string | number, number>('parseDuration', parseDuration, [
  [0, 0],
  [90, 90],
  ['90', 90],
  ['30s', 30],
  ['10m', 600],
  ['8h', 28_800],
  ['2d', 172_800],
  [1.5, undefined],
  [-1, undefined],
  [1e21, undefined],
  ['', undefined],
  ['1w', undefined],
  ['1h30m', undefined],
  [' 1', undefined],
  ['10M', undefined],
])
table<string | number, number>('parseWindow', parseWindow, [
  [1, 1],
  ['365d', 31_536_000],
  [0, undefined],
  [31_536_001, undefined],
])
table<string | number, number>('parseSkew', parseSkew, [
  [-1, -1],
  ['-1', -1],
  [0, 0],
  ['1d', 86_400],
  [86_401, undefined],
  [-2, undefined],
  ['-1s', undefined],
])
table<string, ReturnType<typeof parseRate>>('parseRate', parseRate, [
  ['none', null],
  ['5/10s', { count: 5, seconds: 10 }],
  ['1/second', { count: 1, seconds: 1 }],
  ['2/minute', { count: 2, seconds: 60 }],
  ['3/hour', { count: 3, seconds: 3600 }],
  ['10000/1d', { count: 10_000, seconds: 86_400 }],
  ['0/second', undefined],
  ['10001/second', undefined],
  ['1/0s', undefined],
  ['1/2d', undefined],
  ['1/10', undefined],
  ['1/day', undefined],
  ['5', undefined],
])
table<string, ReturnType<typeof parsePacketRate>>('parsePacketRate', parsePacketRate, [
  ['none', null],
  ['5/week', { count: 5, unit: 'week' }],
  ['0/second', undefined],
  ['5/10s', undefined],
])
table<string | number, ReturnType<typeof parsePorts>>('parsePorts', parsePorts, [
  [22, [range(22, 22)]],
  ['65535', [range(65_535, 65_535)]],
  ['1-65535', [range(1, 65_535)]],
  ['9-9', [range(9, 9)]],
  ['80, 22,23-25', [range(22, 25), range(80, 80)]],
  [0, undefined],
  [65_536, undefined],
  [22.5, undefined],
  [-22, undefined],
  ['', undefined],
  ['22,', undefined],
  ['10-5', undefined],
  ['0-5', undefined],
  ['5-', undefined],
  ['ssh', undefined],
  ['1-2-3', undefined],
])
table<string | number, number>('parseMask', parseMask, [
  [0xffff0000, 0xffff0000],
  ['0xff', 0xff],
  ['0xFF000000', 0xff000000],
  [0xffffffff, 0xffffffff],
  [0x7f, undefined],
  [0, undefined],
  [0xff00ff, undefined],
  [0x1ffffffff, undefined],
  [-1, undefined],
  ['x', undefined],
])
table<string, string>('parseAbsolutePath', parseAbsolutePath, [
  ['/a//b/../c', '/a/c'],
  ['a', undefined],
  ['', undefined],
  ['/a\nb', undefined],
  ['/a\0', undefined],
])
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

describe('mergePorts', () => {
  it('keeps the set of ports and leaves gaps between ranges', () => {
    const ranges = fc.array(fc.tuple(fc.nat(60), fc.nat(5)).map(([first, more]) => range(first + 1, first + 1 + more)))
    const portsOf = (list: readonly PortRange[]) =>
      [
        ...new Set(list.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i))),
      ].sort((a, b) => a - b)
    fc.assert(
      fc.property(ranges, list => {
        const merged = mergePorts(list)
        assert.deepEqual(portsOf(merged), portsOf(list))
        merged.slice(1).forEach((next, i) => assert.ok(next.first > (merged[i]?.last ?? 0) + 1))
      }),
    )
  })
})

describe('values in messages', () => {
  it('stay on one line, whatever they are', () => {
    const parsers = [parseDuration, parseRate, parsePorts, parsePrefix, parseMask, parseAbsolutePath]
    fc.assert(
      fc.property(fc.constantFrom(...parsers), fc.string({ unit: 'binary' }), (parse, text) => {
        try {
          parse(text)
        } catch (error) {
          assert.ok(error instanceof ValueError)
          // eslint-disable-next-line no-control-regex -- what must not be there
          assert.match(error.message, /^[^\0-\x1f\x7f-\x9f\u2028\u2029]{1,200}$/)
        }
      }),
    )
  })
})
