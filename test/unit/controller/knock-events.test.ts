import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Counters, EventLimiter } from '../../../src/controller/knock-events.js'
import { refusals } from '../../../src/controller/verifier.js'

describe('Counters', () => {
  it('start at zero, count for themselves, and are seen through the same memory', () => {
    const writer = new Counters()
    const reader = new Counters(writer.memory)
    const names = ['accepted', 'pending', 'stray', ...refusals] as const
    for (const name of names) assert.equal(reader.get(name), 0)
    names.forEach((name, i) => writer.add(name, i + 1))
    writer.add('accepted')
    names.forEach((name, i) => assert.equal(reader.get(name), i + (name === 'accepted' ? 2 : 1), name))
  })
})

describe('EventValve', () => {
  /** How many of ten pass at each of these times. */
  const tables: readonly (readonly [string, readonly (readonly [number, number])[]])[] = [
    ['the first few of a second', [[5, 3]]],
    [
      'anew with each second of the clock',
      [
        [5, 3],
        [6, 3],
        [7.5, 3],
      ],
    ],
    [
      'not anew within a second',
      [
        [5, 3],
        [5.5, 0],
        [5.999, 0],
        [6, 3],
      ],
    ],
    ['at time 0', [[0, 3]]],
  ]
  for (const [name, steps] of tables) {
    it(name, () => {
      const valve = new EventLimiter(3)
      for (const [now, want] of steps) {
        const passed = Array.from({ length: 10 }, () => valve.pass(now)).filter(Boolean)
        assert.equal(passed.length, want, `at ${now}`)
      }
    })
  }

  it('counts what it held back, across seconds, until it is asked', () => {
    const valve = new EventLimiter(1)
    for (const now of [1, 1, 1, 2, 2]) valve.pass(now)
    assert.deepEqual([valve.takeSuppressed(), valve.takeSuppressed()], [3, 0])
    valve.pass(2)
    assert.equal(valve.takeSuppressed(), 1)
  })
})
