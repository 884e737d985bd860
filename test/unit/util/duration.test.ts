import { parseDuration } from '../../../src/util/duration.js'
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
