import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { durationText, parseDuration, timeText } from '../../../src/util/duration.js'
import { table } from '../../support/value-table.js'

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
  ['1h30m', 5400],
  ['1d2h3m4s', 93_784],
  ['1h30', undefined],
  ['30m1h', undefined],
  ['1m1m', undefined],
  ['1h 30m', undefined],
  [' 1', undefined],
  ['10M', undefined],
])

describe('a duration in words', () => {
  for (const [seconds, text] of [
    [0, '0 s'],
    [119, '119 s'],
    [120, '2 min'],
    [725, '12 min 5 s'],
    [5400, '90 min'],
    [7200, '2 h'],
    [28_799, '7 h 59 min'],
    [169_200, '47 h'],
    [172_799, '47 h 59 min'],
    [172_800, '2 d'],
    [273_599, '3 d 3 h'],
  ] as const)
    it(`${seconds} s: ${text}`, () => assert.equal(durationText(seconds), text))

  it('can be without end', () => {
    assert.deepEqual([timeText(null), timeText(60)], ['without a time limit', 'for 60 s'])
  })
})
