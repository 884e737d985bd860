import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseGranted, parseSource } from '../../../src/net/index.js'
import type { ValueError } from '../../../src/util/index.js'

describe('parseSource', () => {
  for (const [text, address] of [
    ['192.0.2.7', '192.0.2.7'],
    ['2001:DB8::7', '2001:db8::7'],
    ['127.0.0.1', '127.0.0.1'],
    ['fe80::1', 'fe80::1'],
    ['223.255.255.255', '223.255.255.255'],
  ] as const) {
    it(`takes ${text}`, () => assert.equal(parseSource(text).address, address))
  }

  for (const [text, what, hint] of [
    ['0.0.0.0', /^'0\.0\.0\.0' is the unspecified address$/, /--allow 0\.0\.0\.0\/0/],
    ['::', /is the unspecified address$/, /--allow/],
    ['0:0::0', /is the unspecified address$/, /--allow/],
    ['255.255.255.255', /is the broadcast address$/, /one host/],
    ['224.0.0.1', /is a multicast address$/, /one host/],
    ['239.255.255.255', /is a multicast address$/, /one host/],
    ['ff02::1', /is a multicast address$/, /one host/],
  ] as const) {
    it(`refuses ${text}, from which no packet comes`, () => {
      assert.throws(
        () => parseSource(text),
        (error: ValueError) => what.test(error.message) && hint.test(error.hint ?? ''),
      )
    })
  }
})

describe('parseGranted', () => {
  for (const [text, source] of [
    ['192.0.2.7', '192.0.2.7'],
    ['192.0.2.7/32', '192.0.2.7'],
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['2001:DB8::/32', '2001:db8::/32'],
  ] as const)
    it(`takes ${text}`, () => assert.equal(parseGranted(text).source, source))

  for (const [text, what] of [
    ['0.0.0.0/0', /is every address$/],
    ['::/0', /is every address$/],
    ['224.0.0.0/24', /is a multicast address$/],
    ['192.0.2.7/24', /is not a prefix/],
    ['192.0.2.0/33', /at most 32/],
    ['0.0.0.0', /is the unspecified address$/],
  ] as const)
    it(`refuses ${text}`, () => assert.throws(() => parseGranted(text), what))
})
