import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseWindow } from '../../../src/config/service-rules.js'
import { parseAbsolutePath, parseMask, parsePacketRate, parseRate, parseSkew } from '../../../src/config/values.js'
import { parsePorts } from '../../../src/net/ports.js'
import { parsePrefix } from '../../../src/net/prefixes.js'
import { parseDuration } from '../../../src/util/duration.js'
import { ValueError } from '../../../src/util/value-error.js'
import { table } from '../../support/value-table.js'

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
