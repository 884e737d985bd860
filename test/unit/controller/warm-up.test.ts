import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { refusals } from '../../../src/controller/verify/decision.js'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import { WarmUp } from '../../../src/controller/packets/warm-up.js'
import { warmUpSignatures } from '../../../src/controller/verify/warm-up-signatures.js'
import { laptop, pkdSecret, TestClock } from './knock-support.js'
import { staff } from './signed-support.js'

describe('warming up the packet path', () => {
  function answersTo(...credentials: PacketCredential[]): { accepted: number; all: number } {
    return answers(new WarmUp(0xffff0000, new TestClock()), credentials)
  }

  function answers(warmUp: WarmUp, credentials: PacketCredential[], sequences = 0): { accepted: number; all: number } {
    const counters = warmUp.run(credentials, Array.from({ length: sequences }))
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

  it('grants signed ones, as if their signatures were verified', () => {
    const { accepted, all } = answersTo(staff)
    assert.ok(accepted >= 100, String(accepted))
    assert.equal(all, accepted)
  })

  it('completes sequences, where there are some', () => {
    assert.ok(answers(new WarmUp(0xffff0000, new TestClock()), [], 2).accepted >= 100)
  })

  it('does so once, and at a reload for the types that it adds', () => {
    const warmUp = new WarmUp(0xff, new TestClock())
    const first = answers(warmUp, [laptop])
    assert.deepEqual(answers(warmUp, [laptop, { ...laptop, name: 'other' }]), { accepted: 0, all: 0 })
    assert.ok(answers(warmUp, [laptop, staff]).accepted >= 100)
    assert.ok(answers(warmUp, [laptop, staff], 1).accepted >= 100)
    assert.deepEqual(answers(warmUp, [laptop, staff], 1), { accepted: 0, all: 0 })
    assert.ok(first.accepted >= 100)
  })

  it('does nothing without credentials', () => {
    assert.equal(answersTo().all, 0)
  })

  it('verifies made-up signatures in the other thread', async () => {
    assert.equal(await warmUpSignatures(new TestClock()), 30)
  })
})
