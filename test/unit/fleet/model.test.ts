/** A short form of `npm run test:model`, with the proof that it finds what it looks for. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ClaimFault } from '../../model/claims.js'
import { simulateClaims } from '../../model/claims.js'
import type { GrantFault } from '../../model/grants.js'
import { simulateGrants } from '../../model/grants.js'

const seeds = (count: number) => Array.from({ length: count }, (_, seed) => seed)

describe('claims of a group of servers, simulated', () => {
  it('open each knock once at most', async () => {
    let opened = 0
    for (const seed of seeds(20)) {
      const report = await simulateClaims(seed, 500)
      assert.equal(report.doubles, 0, `npm run test:model -- --seed ${seed}`)
      opened += report.opened
    }
    assert.ok(opened > 2000, `${opened} opened`)
  })

  it('go the same way with the same seed', async () => {
    assert.deepEqual(await simulateClaims(7, 200), await simulateClaims(7, 200))
    assert.deepEqual(await simulateGrants(7), await simulateGrants(7))
  })

  const faults: ClaimFault[] = [
    ...(['check-then-set', 'grant-before-claim', 'trusts-empty-engine', 'short-life'] as const),
    'opens-without-engine',
  ]
  for (const fault of faults) {
    it(`open some knock twice with this fault: ${fault}`, async () => {
      for (const seed of seeds(60)) if ((await simulateClaims(seed, 500, fault)).doubles > 0) return
      assert.fail('no knock opened twice')
    })
  }
})

describe('grants of a fleet, simulated', () => {
  it('end where they were revoked, on all servers', async () => {
    for (const seed of seeds(60)) {
      const { lost, disagreements } = await simulateGrants(seed)
      assert.deepEqual({ lost, disagreements }, { lost: 0, disagreements: 0 }, `npm run test:model -- --seed ${seed}`)
    }
  })

  for (const fault of ['passes-over-ended', 'own-time'] satisfies GrantFault[]) {
    it(`run on with this fault: ${fault}`, async () => {
      for (const seed of seeds(60)) {
        const { lost, disagreements } = await simulateGrants(seed, fault)
        if (lost + disagreements > 0) return
      }
      assert.fail('nothing was lost')
    })
  }
})
