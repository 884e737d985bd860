import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readOneTime } from '../../../src/knock/one-time.js'
import { formatStep } from '../../../src/knock/step.js'

describe('readOneTime', () => {
  const read = (text: string) =>
    readOneTime(Buffer.from(text)).unused.map(({ steps, line, offset }) => [
      steps.map(formatStep).join(','),
      line.toString(),
      offset,
    ])

  const table: readonly [string, readonly (readonly [string, string, number])[]][] = [
    ['', []],
    ['\n\n', []],
    ['# a comment\n', []],
    [' 1,2\n', [['1,2', ' 1,2', 0]]],
    [' 1,2', [['1,2', ' 1,2', 0]]],
    [
      '#1,2\n 3:udp,4:tcp\r\n5',
      [
        ['3:udp,4', ' 3:udp,4:tcp\r', 5],
        ['5', '5', 19],
      ],
    ],
    [' # used\n 7', [['7', ' 7', 8]]],
  ]
  for (const [text, want] of table) it(JSON.stringify(text), () => assert.deepEqual(read(text), want))

  it('names the line of what is no sequence', () => {
    assert.throws(() => read(' 1\n\n 2,x\n'), /^SequenceFormatError: line 3: expected knocks/)
    assert.throws(() => read(Array(33).fill('1').join(',')), /line 1: expected at most 32 knocks, got 33/)
  })
})
