import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TimeBudget } from '../../../src/controller/verify/time-budget.js'

describe('a budget of time', () => {
  /** How many pieces of work are begun in `seconds`, asked for each millisecond, of which each takes so long. */
  function begun(budget: TimeBudget, seconds: number, taking: number): number {
    const ends: { readonly at: number; readonly end: (now: number) => void }[] = []
    let count = 0
    for (let i = 0; i < seconds * 1000; i++) {
      const now = i / 1000
      while (ends[0] && ends[0].at <= now) ends.shift()?.end(now)
      if (!budget.isLeft(now)) continue
      const end = budget.begin(now)
      ends.push({ at: now + taking, end })
      count++
    }
    return count
  }

  it('lets short work through, and of long work its share and what was saved', () => {
    // 100 s, a tenth of it, and one second saved: 11 s; work that runs beside other work is known late.
    const long = begun(new TimeBudget(0.1, 1), 100, 0.5)
    assert.ok(long >= 20 && long <= 100, String(long))
    const short = begun(new TimeBudget(0.1, 1), 100, 0.005)
    assert.ok(short >= 2000 && short <= 2600, String(short))
  })

  it('counts work that has not ended', () => {
    const budget = new TimeBudget(0.1, 1)
    assert.equal(budget.isLeft(0), true)
    budget.begin(0)
    assert.equal(budget.isLeft(0.9), true)
    assert.equal(budget.isLeft(1.2), false)
    assert.equal(budget.isLeft(1000), false)
  })

  it('saves no more than it may, and takes nothing from a clock that stands still or goes back', () => {
    const budget = new TimeBudget(0.5, 1)
    budget.begin(1000)(1003)
    assert.equal(budget.isLeft(1003), false)
    assert.equal(budget.isLeft(900), false)
    assert.equal(budget.isLeft(905), true)
  })
})
