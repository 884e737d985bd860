import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { refusals } from '../../../src/controller/verify/decision.js'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import { warmUp } from '../../../src/controller/packets/warm-up.js'
import { laptop, pkdSecret, TestClock } from './knock-support.js'

describe('warming up the packet path', () => {
  function answersTo(...credentials: PacketCredential[]): { accepted: number; all: number } {
    const counters = warmUp(credentials, 0xffff0000, new TestClock())
    const accepted = counters.get('accepted')
    return { accepted, all: refusals.reduce((sum, reason) => sum + counters.get(reason), accepted) }
  }

  it('grants some hundred made-up knocks of each format, however many credentials there are', () => {
    const { accepted, all } = answersTo(laptop)
    assert.ok(accepted >= 100, String(accepted))
    const others = Array.from({ length: 50 }, (_, i) => ({
      ...laptop,
      ...pkdSecret(`T${String(i).padStart(3, '0')}`, 'test'),
    }))
    assert.equal(answersTo(laptop, ...others).all, all)
  })

  it('grants those of a credential with a port, a rate, triggers, or any clock', () => {
    const rate = { count: 1, seconds: 60 }
    assert.ok(answersTo({ ...laptop, port: 4000, rate, triggers: true, skew: -1 }).accepted >= 100)
  })

  it('does nothing without credentials', () => {
    assert.equal(answersTo().all, 0)
  })
})
