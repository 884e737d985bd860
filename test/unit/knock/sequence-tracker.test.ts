import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { SequenceTracker } from '../../../src/knock/sequence-tracker.js'
import { parseStep } from '../../../src/knock/step.js'

const steps = (text: string) => text.split(' ').map(parseStep)

/** Knocks of the source x, a second apart, as `port` or `port@second`; gives when the sequence was complete. */
function completions(sequence: string, knocks: string, timeoutSeconds = 100): number[] {
  const tracker = new SequenceTracker([{ steps: steps(sequence), timeoutSeconds, value: true }], 10)
  return knocks.split(' ').flatMap((knock, i) => {
    const [text = '', at] = knock.split('@')
    const { protocol, port } = parseStep(text)
    return tracker.knock('x', protocol, port, Number(at ?? i)).length > 0 ? [i] : []
  })
}

describe('SequenceTracker', () => {
  const table: readonly [string, string, string, number[]][] = [
    ['in order', '1 2 3', '1 2 3', [2]],
    ['twice', '1 2 3', '1 2 3 1 2 3', [2, 5]],
    ['the wrong order', '1 2 3', '1 3 2', []],
    ['a wrong one between', '1 2 3', '1 9 2 3', []],
    ['each repeated', '1 2 3', '1 1 2 2 2 3', [5]],
    ['an earlier one repeated', '1 2 3', '1 2 1 3', []],
    ['after a failed attempt at once', '1 2 3', '1 2 1 2 3', [4]],
    ['a beginning within a failed attempt', '1 1 2', '1 1 1 2', [3]],
    ['the same port twice in it', '1 2 1 3', '1 2 1 2 1 3', [5]],
    ['protocols are told apart', '1 2:udp', '1 2 2:udp', []],
    ['one step', '7', '7 8 7', [0, 2]],
  ]
  for (const [name, sequence, knocks, want] of table) {
    it(name, () => assert.deepEqual(completions(sequence, knocks), want))
  }

  it('takes the whole time, and not more', () => {
    assert.deepEqual(completions('1 2 3', '1@0 2@5 3@10', 10), [2])
    assert.deepEqual(completions('1 2 3', '1@0 2@5 3@10.1', 10), [])
    assert.deepEqual(completions('1 2 1 3', '1@0 2@1 1@9 2@12 1@13 3@18', 10), [5], 'its later part was in time')
  })

  it('tells sources apart', () => {
    const tracker = new SequenceTracker([{ steps: steps('1 2'), timeoutSeconds: 10, value: 'open' }], 10)
    assert.deepEqual(tracker.knock('a', 6, 1, 0), [])
    assert.deepEqual(tracker.knock('b', 6, 2, 0), [])
    assert.deepEqual(tracker.knock('a', 6, 2, 0), ['open'])
    assert.equal(tracker.size, 0)
  })

  it('forgets a source that has been elsewhere, and the silent ones', () => {
    const tracker = new SequenceTracker([{ steps: steps('1 2'), timeoutSeconds: 10, value: 'open' }], 10)
    tracker.knock('a', 6, 1, 0)
    tracker.forget('a')
    assert.deepEqual(tracker.knock('a', 6, 2, 0), [])
    tracker.knock('b', 6, 1, 0)
    tracker.knock('c', 6, 1, 21)
    assert.equal(tracker.size, 1)
  })

  it('follows a bounded number of sources, and forgets the one silent for longest', () => {
    const tracker = new SequenceTracker([{ steps: steps('1 2'), timeoutSeconds: 1000, value: 'open' }], 100)
    for (let i = 0; i < 1000; i++) tracker.knock(`source ${i}`, 6, 1, i / 10)
    assert.equal(tracker.size, 100)
    assert.deepEqual(tracker.knock('source 899', 6, 2, 100), [])
    assert.deepEqual(tracker.knock('source 999', 6, 2, 100), ['open'])
  })

  it('follows several sequences, also from the same step on', () => {
    const patterns = ['1 2 3', '1 3 2', '4', '3 2'].map(text => ({
      steps: steps(text),
      timeoutSeconds: 10,
      value: text,
    }))
    const tracker = new SequenceTracker(patterns, 10)
    const all = [1, 3, 2, 4].flatMap(port => tracker.knock('x', 6, port, 0))
    assert.deepEqual(all.sort(), ['1 3 2', '3 2', '4'])
  })

  it('begins again with a repetition of the last step, when that is the first one as well', () => {
    assert.deepEqual(completions('2 4 2', '2 4 2 2 4 2'), [2, 5])
  })

  it('is complete exactly when its steps came one after the other, repetitions aside', () => {
    const port = fc.integer({ min: 1, max: 4 })
    fc.assert(
      fc.property(
        fc.array(port, { minLength: 2, maxLength: 5 }),
        fc.array(port, { maxLength: 30 }),
        (sequence, knocks) => {
          // Without repeated steps there is one way to read a repetition.
          fc.pre(sequence.every((step, i) => step !== sequence[i - 1]))
          let complete = 0
          // A completed sequence does not count for the next one, and what repeats its last step is a step of the next.
          let since: number[] = []
          for (const knock of knocks) {
            if (since.at(-1) !== knock) since.push(knock)
            if (since.length < sequence.length) continue
            if (!sequence.every((step, k) => since.at(k - sequence.length) === step)) continue
            complete++
            since = []
          }
          assert.equal(completions(sequence.join(' '), knocks.join(' ') || '9').length, complete)
        },
      ),
    )
  })
})
