import assert from 'node:assert/strict'
import type { NetworkInterfaceInfo } from 'node:os'
import { describe, it } from 'node:test'
import { findSource } from '../../../src/client/find-source.js'

const at = (address: string) =>
  ({ address, family: address.includes(':') ? 'IPv6' : 'IPv4' }) as unknown as NetworkInterfaceInfo
const interfaces = () => ({
  lo: [at('127.0.0.1')],
  wan0: [at('192.0.2.1'), at('192.0.2.2'), at('fe80::1'), at('2001:db8::1')],
  four0: [at('198.51.100.1'), at('fe80::2')],
})
const find = (text: string, family?: 4 | 6) => {
  const of = findSource(text, family, interfaces)
  return { four: of(4), six: of(6) }
}

describe('the source of a knock', () => {
  it('is an address, which leaves one version of IP', () => {
    assert.deepEqual(find('192.0.2.7'), { four: '192.0.2.7', six: undefined })
    assert.deepEqual(find('2001:DB8:0::7'), { four: undefined, six: '2001:db8::7' })
    assert.deepEqual(find('192.0.2.7', 4), { four: '192.0.2.7', six: undefined })
  })

  it('is the first address of an interface that is good beyond its link', () => {
    assert.deepEqual(find('wan0'), { four: '192.0.2.1', six: '2001:db8::1' })
    assert.deepEqual(find('wan0', 6), { four: '192.0.2.1', six: '2001:db8::1' })
    assert.deepEqual(find('four0'), { four: '198.51.100.1', six: undefined })
  })

  const mistakes: readonly [string, 4 | 6 | undefined, RegExp][] = [
    ['eth9', undefined, /there is no interface eth9 that is up/],
    ['constructor', undefined, /there is no interface constructor/],
    ['four0', 6, /the interface four0 has no IPv6 address/],
    ['192.0.2.7', 6, /is an IPv4 address, and IPv6 is asked for/],
    ['192.0.2.300', undefined, /192\.0\.2\.300/],
    ['::ffff:192.0.2.1', undefined, /192\.0\.2\.1/],
  ]
  for (const [text, family, error] of mistakes) {
    it(`one clear error for ${text}${family === undefined ? '' : ` with -${family}`}`, () => {
      assert.throws(() => find(text, family), error)
    })
  }
})
