import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EventLimiter } from '../../../src/controller/report/event-limiter.js'

describe('EventLimiter', () => {
  /** How many of ten pass at each of these times. */
  const tables: readonly (readonly [string, readonly (readonly [number, number])[]])[] = [
    ['the first few of a second', [[5, 3]]],
    [
      'again with each second of the clock',
      [
        [5, 3],
        [6, 3],
        [7.5, 3],
      ],
    ],
    [
      'not again within a second',
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
      const limiter = new EventLimiter(3)
      for (const [now, want] of steps) {
        const passed = Array.from({ length: 10 }, () => limiter.pass(now)).filter(Boolean)
        assert.equal(passed.length, want, `at ${now}`)
      }
    })
  }

  it('counts what it held back, across seconds, until it is asked', () => {
    const limiter = new EventLimiter(1)
    for (const now of [1, 1, 1, 2, 2]) limiter.pass(now)
    assert.deepEqual([limiter.takeSuppressed(), limiter.takeSuppressed()], [3, 0])
    limiter.pass(2)
    assert.equal(limiter.takeSuppressed(), 1)
  })
})
