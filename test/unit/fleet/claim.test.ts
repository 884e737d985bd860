import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ClaimAnswer, ClaimStore } from '../../../src/fleet/claim.js'
import { Claims, clockTolerance } from '../../../src/fleet/claim.js'

const time = 1_900_000_000
const knock = { digest: Buffer.from('0123456789abcdef'), time, skew: 10 }

/** What is claimed at `now`, by an engine that answers like this. */
async function claim(answer: ClaimAnswer | Error | 'never', { now = time * 1000, key = 7, given = knock } = {}) {
  const asked: { key: string; life: number }[] = []
  const store: ClaimStore = {
    claim(key, life) {
      asked.push({ key, life })
      if (answer === 'never') return new Promise(() => undefined)
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
    },
  }
  let timers = 0
  const claims = new Claims({
    ...{ store, key: Buffer.alloc(32, key), now: () => now },
    after(milliseconds, call) {
      assert.equal(milliseconds, 1000)
      timers++
      if (answer === 'never') setImmediate(call)
      return () => timers--
    },
  })
  const result = await claims.claim(given)
  assert.equal(timers, 0)
  const { waiting, results, medianMilliseconds } = claims.status()
  assert.deepEqual([waiting, Object.entries(results).filter(([, times]) => times > 0)], [0, [[result, 1]]])
  assert.equal(medianMilliseconds === null, result === 'fleet-away' || result === 'fleet-late')
  return { result, asked }
}
const long = { isFirst: true, since: time * 1000 - 10_000 - 2 * clockTolerance }

describe('a claim for the whole group', () => {
  it('is made by the first server alone', async () => {
    assert.equal((await claim(long)).result, 'first')
    assert.equal((await claim({ ...long, isFirst: false })).result, 'claimed')
  })

  it('is refused where the engine is away, late, or may have forgotten', async () => {
    assert.equal((await claim(new Error('gone'))).result, 'fleet-away')
    assert.equal((await claim('never')).result, 'fleet-late')
    assert.equal((await claim({ ...long, since: long.since + 1 })).result, 'fleet-unsure')
  })

  it('lives until no clock of the group takes the knock', async () => {
    const lifeAt = async (now: number) => (await claim(long, { now })).asked[0]?.life
    assert.equal(await lifeAt(time * 1000), 11_000 + 2 * clockTolerance)
    assert.equal(await lifeAt(time * 1000 - 10_000), 21_000 + 2 * clockTolerance)
    const over = await claim(long, { now: time * 1000 + 11_000 + 2 * clockTolerance })
    assert.deepEqual(over, { result: 'claimed', asked: [] })
  })

  it('shows the engine nothing of the knock, and is another one in each group and for each knock', async () => {
    const keyOf = async (options: Parameters<typeof claim>[1]) => (await claim(long, options)).asked[0]?.key ?? ''
    const key = await keyOf({})
    assert.match(key, /^[\w-]{43}$/)
    assert.equal(await keyOf({ now: time * 1000 + 5000 }), key)
    assert.notEqual(await keyOf({ key: 8 }), key)
    assert.notEqual(await keyOf({ given: { ...knock, digest: Buffer.from('0123456789abcdeF') } }), key)
  })
})
