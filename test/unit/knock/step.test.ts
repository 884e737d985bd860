import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SequenceFormatError } from '../../../src/knock/secret-errors.js'
import { formatStep, isAscending, parseStep } from '../../../src/knock/step.js'

const steps = (text: string) => text.split(' ').map(parseStep)

describe('parseStep', () => {
  for (const [text, want] of [
    ['7000', '7000'],
    ['7000:tcp', '7000'],
    ['8000:UDP', '8000:udp'],
    ['65535', '65535'],
  ] as const) {
    it(text, () => assert.equal(formatStep(parseStep(text)), want))
  }
  for (const text of ['', '0', '65536', '7000:icmp', '7000:', 'ssh', '-1', '1 2']) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseStep(text), SequenceFormatError))
  }

  it('knows what a scan in order goes through', () => {
    assert.equal(isAscending(steps('1 5 9')), true)
    assert.equal(isAscending(steps('1 9 5')), false)
    assert.equal(isAscending(steps('1')), false)
  })
})
