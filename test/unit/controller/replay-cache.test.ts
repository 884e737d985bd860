import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { ReplayLimits, ReplayAnswer } from '../../../src/controller/replay/replay-cache.js'
import { ReplayCache } from '../../../src/controller/replay/replay-cache.js'

const digestOf = (name: string | number) => createHash('sha256').update(String(name)).digest()

/** What the verifier does with a knock that is not too skewed: judge it, and remember it when it is new. */
function knock(memory: ReplayCache, name: string | number, time: number, now: number): ReplayAnswer {
  const digest = digestOf(name)
  const answer = memory.check(digest, 0, time, now)
  if (answer === 'new') memory.remember(digest, 0, time)
  return answer
}

const many = 1_000_000
/** Name, time, clock, and what is wanted, one after the other on one memory. */
type Steps = readonly (readonly [string, number, number, ReplayAnswer])[]

const tables: readonly (readonly [string, ReplayLimits, Steps])[] = [
  [
    'with a skew: the same knock only once, whatever else comes',
    { skew: 10, entries: many },
    [
      ['a', 1000, 1000, 'new'],
      ['a', 1000, 1000, 'replayed'],
      ['b', 1000, 1000, 'new'],
      ['b', 1000, 1000, 'replayed'],
      ['a', 1000, 1000, 'replayed'],
      ['c', 995, 1000, 'new'],
      ['d', 1005, 1000, 'new'],
    ],
  ],
  [
    'a knock ahead of the clock stays known to the last second in which it is acceptable',
    { skew: 10, entries: many },
    [
      ['a', 1010, 1000, 'new'],
      ['a', 1010, 1010, 'replayed'],
      ['a', 1010, 1019, 'replayed'],
      ['a', 1010, 1020, 'replayed'],
      ['a', 1010, 1021, 'stale'],
      ['a', 1010, 5000, 'stale'],
    ],
  ],
  [
    'a knock behind the clock is forgotten into the floor',
    { skew: 10, entries: many },
    [
      ['a', 990, 1000, 'new'],
      ['a', 990, 1000, 'replayed'],
      ['b', 991, 1001, 'new'],
      ['a', 990, 1001, 'stale'],
      ['b', 991, 1001, 'replayed'],
    ],
  ],
  [
    'the clock set back lets in nothing that was forgotten, nor what is as old',
    { skew: 10, entries: many },
    [
      ['a', 1000, 1000, 'new'],
      ['b', 1005, 1000, 'new'],
      ['c', 2000, 2000, 'new'],
      ['a', 1000, 1000, 'stale'],
      ['b', 1005, 1000, 'stale'],
      ['never seen', 1005, 1000, 'stale'],
      ['never seen', 1006, 1000, 'new'],
      ['c', 2000, 1995, 'replayed'],
    ],
  ],
  [
    'skew 0 remembers the current second',
    { skew: 0, entries: many },
    [
      ['a', 1000, 1000, 'new'],
      ['a', 1000, 1000, 'replayed'],
      ['a', 1000, 1001, 'stale'],
      ['b', 1001, 1001, 'new'],
    ],
  ],
  [
    'full: what cannot be remembered is not new, until something is forgotten',
    { skew: 10, entries: 2 },
    [
      ['a', 1000, 1000, 'new'],
      ['b', 1001, 1000, 'new'],
      ['c', 1002, 1000, 'full'],
      ['a', 1000, 1000, 'replayed'],
      ['old', 900, 1000, 'full'],
      ['c', 1011, 1011, 'new'],
      ['d', 1011, 1011, 'full'],
    ],
  ],
  [
    'any clock: times in any order, however far from the clock',
    { skew: -1, entries: 8 },
    [
      ['a', 1_700_000_000, 1000, 'new'],
      ['b', 0, 1000, 'new'],
      ['c', 2 ** 64, 1000, 'new'],
      ['a', 1_700_000_000, 9_999_999, 'replayed'],
      ['b', 0, 9_999_999, 'replayed'],
      ['c', 2 ** 64, 9_999_999, 'replayed'],
    ],
  ],
  [
    'any clock: the lowest time goes first, and all as low with it',
    { skew: -1, entries: 3 },
    [
      ['a', 30, 0, 'new'],
      ['b', 10, 0, 'new'],
      ['c', 20, 0, 'new'],
      ['d', 40, 0, 'new'],
      ['b', 10, 0, 'stale'],
      ['x', 10, 0, 'stale'],
      ['c', 20, 0, 'replayed'],
      ['a', 30, 0, 'replayed'],
      ['x', 11, 0, 'new'], // the lowest now, so that it is forgotten again at once
      ['x', 11, 0, 'stale'],
      ['d', 40, 0, 'replayed'],
    ],
  ],
]

describe('ReplayMemory', () => {
  for (const [name, limits, steps] of tables) {
    it(name, () => {
      const memory = new ReplayCache(limits)
      for (const [i, [digest, time, now, want]] of steps.entries()) {
        assert.equal(knock(memory, digest, time, now), want, `step ${i}: ${digest} of ${time} at ${now}`)
      }
    })
  }

  it('reads the digest at its offset, and the first 16 bytes of it alone', () => {
    const memory = new ReplayCache({ skew: 10, entries: many })
    const digest = digestOf('a')
    const shifted = Buffer.concat([Buffer.alloc(5, 0xff), digest.subarray(0, 16), Buffer.alloc(16)])
    memory.remember(shifted, 5, 1000)
    assert.equal(memory.check(digest, 0, 1000, 1000), 'replayed')
    assert.equal(memory.check(shifted, 4, 1000, 1000), 'new')
  })

  it('gives back its room', () => {
    const memory = new ReplayCache({ skew: 10, entries: 100 })
    for (let now = 1000; now < 2000; now++) {
      for (let i = 0; i < 4; i++) assert.equal(knock(memory, `${now} ${i}`, now, now), 'new')
    }
    assert.ok(memory.size <= 4 * 13, `${memory.size} remembered`)
  })

  it('gives back its room after the clock was far ahead for a while', () => {
    const memory = new ReplayCache({ skew: 10, entries: 100 })
    assert.equal(knock(memory, 'from the future', 4_000_000_000, 4_000_000_000), 'new')
    for (let now = 1000; now < 1200; now++) assert.equal(knock(memory, now, now, now), 'new', `at ${now}`)
  })

  it('an eighth goes at once when any clock is accepted', () => {
    const memory = new ReplayCache({ skew: -1, entries: 64 })
    for (let i = 1; i <= 64; i++) knock(memory, i, i, 0)
    assert.deepEqual([memory.size, memory.floor], [64, -Infinity])
    knock(memory, 65, 65, 0)
    assert.deepEqual([memory.size, memory.floor], [56, 9])
  })

  it('raises its floor and never lowers it', () => {
    const memory = new ReplayCache({ skew: 10, entries: many })
    memory.raiseFloor(1000)
    memory.raiseFloor(900)
    assert.equal(memory.floor, 1000)
    assert.equal(knock(memory, 'a', 1000, 1000), 'stale')
    assert.equal(knock(memory, 'a', 1001, 1000), 'new')
  })

  it('shows all that it remembers, so that another can remember it', () => {
    const memory = new ReplayCache({ skew: 10, entries: many })
    const copy = new ReplayCache({ skew: 20, entries: many })
    for (let i = 0; i < 100; i++) knock(memory, i, 1000 + (i % 10), 1000)
    memory.forEach((words, time) => copy.remember(Buffer.from(Uint32Array.from(words).buffer), 0, time))
    assert.equal(copy.size, 100)
    for (let i = 0; i < 100; i++) assert.equal(knock(copy, i, 1000 + (i % 10), 1000), 'replayed')
  })

  it('never takes the same knock twice, however the clock moves', () => {
    const step = fc.record({
      name: fc.nat(12),
      ahead: fc.integer({ min: -9, max: 9 }),
      move: fc.integer({ min: -40, max: 60 }),
    })
    const skews = fc.constantFrom(-1, 0, 3, 8)
    fc.assert(
      fc.property(
        skews,
        fc.integer({ min: 1, max: 10 }),
        fc.array(step, { maxLength: 200 }),
        (skew, entries, steps) => {
          const memory = new ReplayCache({ skew, entries })
          const honoured = new Set<string>()
          let now = 1000
          for (const { name, ahead, move } of steps) {
            now += move
            // A knock is made of its time, so the same name at another time is another knock.
            const time = Math.floor(now / 10) * 10 + ahead
            if (skew >= 0 && Math.abs(time - now) > skew) continue
            const id = `${name} ${time}`
            if (knock(memory, id, time, now) !== 'new') continue
            assert.ok(!honoured.has(id), `${id} was honoured twice`)
            honoured.add(id)
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})
