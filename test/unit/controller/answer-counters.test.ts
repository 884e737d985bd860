import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Counters } from '../../../src/controller/report/answer-counters.js'
import { refusals } from '../../../src/controller/verify/decision.js'

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
