import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Firewall } from '../../../src/nft/reconcile/firewall.js'
import type { ServicePlan } from '../../../src/nft/reconcile/service-plan.js'
import type { ServiceGrant } from '../../../src/nft/table/grant-elements.js'
import type { RollbackState } from '../../../src/safety/rollback.js'
import { unconfirmedChange } from '../../../src/safety/ask-rollback-process.js'
import { rollBack, rollbackState } from '../../../src/safety/rollback.js'
import { FakeNft, fakeRuleset } from '../../support/fake-nft.js'
import { service } from '../../support/firewall-tools.js'

const mine = (secondsLeft: number | null): ServiceGrant => ({
  service: 'ssh',
  source: '198.51.100.7',
  by: 'hand',
  secondsLeft,
})

describe('a rollback', () => {
  for (const [name, before, after] of [
    ['takes back what --allow-me granted', [], []],
    ['gives a grant that --allow-me prolonged what it had left', [mine(500)], [mine(440)]],
    ['leaves no grant that would have ended meanwhile', [mine(30)], []],
    ['leaves a grant without end as it was', [mine(null)], [mine(null)]],
  ] as const) {
    it(name, async () => {
      let now = 0
      const firewall = new Firewall(fakeRuleset(new FakeNft({ now: () => now })))
      await firewall.apply({ specs: [service('ssh')], grants: before })
      let saved: RollbackState | undefined
      const prepare = async (plan: ServicePlan) => {
        const replaced = await firewall.replacedBy([mine(null)], plan.before)
        saved = rollbackState(plan, [mine(null)], replaced, {
          ...{ seconds: 60, daemonSocket: '', config: '', files: [], units: { enabled: [], started: [] } },
        })
        return [mine(null)]
      }
      await firewall.apply({ specs: [service('ssh', { window: 90 })], prepare })
      now += 60
      await rollBack(firewall, saved as RollbackState, 60)
      const { spec, grants } = (await firewall.services()).get('ssh') ?? assert.fail()
      assert.equal(spec.window, 60)
      assert.deepEqual(
        grants.map(grant => ({ service: 'ssh', ...grant })),
        after,
      )
    })
  }
})

describe('whether a change waits', () => {
  const isRoot = process.geteuid?.() === 0
  for (const [code, said] of [
    ['ENOENT', undefined],
    ['ECONNREFUSED', undefined],
    ['EACCES', isRoot ? 'silent' : undefined],
    ['ETIMEDOUT', 'silent'],
    ['EAGAIN', 'silent'],
    ['ECONNRESET', 'silent'],
  ] as const) {
    it(`is ${said === undefined ? 'denied' : 'not denied'} after ${code}`, async () => {
      const refused = Object.assign(new Error('no'), { code })
      assert.equal(await unconfirmedChange(() => Promise.reject(refused)), said)
    })
  }
})
