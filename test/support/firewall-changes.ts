/** The cases that are about services that come, change and go in one transaction. */
import assert from 'node:assert/strict'
import { FirewallError } from '../../src/nft/nft-errors.js'
import type { ServicePlan } from '../../src/nft/reconcile/service-plan.js'
import type { FirewallCase } from './firewall-tools.js'
import { grants, nothing, ports, service, specs, ssh, unchanged, web } from './firewall-tools.js'

const mail = service('mail', { ports: ports(25, [1000, 1010]) })
const named = (services: readonly { name: string }[]) => services.map(({ name }) => name)

export const changeCases: readonly FirewallCase[] = [
  {
    name: 'a change adds, changes and takes away; grants of what stays go on; a second one changes nothing',
    async run(firewall) {
      await firewall.ensureServices([ssh, mail])
      await firewall.addGrant('ssh', 4, '192.0.2.1', 500)
      const other = { ...ssh, window: 90, hook: 'prerouting' as const }
      const change = { specs: [other, web], remove: 'others' as const }
      const { plan, changed: isChanged } = await firewall.apply(change)
      assert.equal(isChanged, true)
      assert.deepEqual(
        [named(plan.added), plan.removed.map(({ spec }) => spec.name), plan.left],
        [['web'], ['mail'], []],
      )
      assert.deepEqual(plan.modified.map(({ differences }) => differences.map(({ option }) => option)).flat(), [
        'window',
        'hook',
      ])
      assert.deepEqual(await specs(firewall), [other, web])
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand 500'])
      const second = await firewall.apply(change)
      nothing(second)
      assert.deepEqual([second.plan.added, second.plan.modified, second.plan.removed], [[], [], []])
    },
  },
  {
    name: 'a change leaves what is not named, and leaves no table when all goes',
    async run(firewall, nft) {
      await firewall.ensureServices([ssh, mail])
      assert.deepEqual((await firewall.apply({ specs: [ssh] })).plan.left, ['mail'])
      await firewall.apply({ specs: [], remove: ['mail', 'nobody'] })
      assert.deepEqual(await specs(firewall), [ssh])
      await firewall.apply({ specs: [], remove: 'others' })
      assert.equal((await nft.list()).present, false)
      nothing(await firewall.apply({ specs: [], remove: 'others' }))
    },
  },
  {
    name: 'what goes is known with its grants, with which it can be put back',
    async run(firewall) {
      await firewall.ensureServices([{ ...ssh, prefix4: 24 }, web])
      await firewall.addGrant('ssh', 4, '192.0.2.1', 500)
      await firewall.addGrant('ssh', 6, '2001:db8::1', null)
      const { plan } = await firewall.apply({ specs: [web], remove: 'others' })
      const removed = plan.removed.map(({ spec }) => spec)
      const kept = plan.removed.flatMap(({ grants: all, spec }) => all.map(grant => ({ service: spec.name, ...grant })))
      const byKnock = { service: 'ssh', source: '198.51.100.0/24', by: 'knock', secondsLeft: 30 } as const
      const ofNobody = { ...byKnock, service: 'gone' }
      await firewall.apply({ specs: removed, remove: ['web'], grants: [...kept, byKnock, ofNobody] })
      assert.deepEqual(await specs(firewall), [{ ...ssh, prefix4: 24 }])
      assert.deepEqual(await grants(firewall), [
        '192.0.2.0/24 hand 500',
        '198.51.100.0/24 knock 30',
        '2001:db8::1 hand for ever',
      ])
    },
  },
  {
    name: 'a link-local address loses its grant when its service is for another link, or for several',
    async run(firewall) {
      for (const interfaces of [[], ['eth1'], ['eth0', 'eth1'], ['eth*']]) {
        await firewall.ensureServices([{ ...ssh, interfaces: ['eth0'] }])
        for (const address of ['fe80::5', '169.254.0.5', '2001:db8::1'] as const)
          await firewall.addGrant('ssh', address.includes(':') ? 6 : 4, address, null)
        const { details } = await firewall.ensureServices([{ ...ssh, interfaces, window: 99 }])
        assert.deepEqual(await grants(firewall), ['2001:db8::1 hand for ever'])
        const why = 'revoked, because it can be a different machine on each link'
        assert.deepEqual(details.slice(-2).sort(), [`ssh: 169.254.0.5 ${why}`, `ssh: fe80::5 ${why}`])
      }
      await firewall.ensureServices([{ ...ssh, interfaces: ['eth0'] }])
      await firewall.addGrant('ssh', 6, 'fe80::5', null)
      await firewall.ensureServices([{ ...ssh, interfaces: ['eth0'], window: 98 }])
      assert.deepEqual(await grants(firewall), ['2001:db8::1 hand for ever', 'fe80::5 hand for ever'])
    },
  },
  {
    name: 'a change can make grants by the way, and take those by hand back',
    async run(firewall) {
      const mine = { service: 'ssh', source: '192.0.2.1', by: 'hand', secondsLeft: null } as const
      const result = await firewall.apply({ specs: [ssh], prepare: () => Promise.resolve([mine]) })
      assert.deepEqual(result.details, ['service ssh added', '192.0.2.1 granted'])
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand for ever'])
      assert.equal(await firewall.secondsGranted(ssh, 4, '192.0.2.1'), Infinity)
      assert.equal(await firewall.secondsGranted(ssh, 4, '192.0.2.2'), 0)
      await firewall.addGrant('ssh', 4, '192.0.2.2', 500)
      await firewall.apply({ specs: [], revoke: [mine, { ...mine, service: 'gone' }] })
      assert.deepEqual(await grants(firewall), ['192.0.2.2 hand 500'])
    },
  },
  {
    name: 'a grant for a prefix counts for the addresses that it will still have when the prefix changes',
    async run(firewall) {
      const wide = { ...ssh, prefix4: 24 }
      await firewall.ensureServices([wide])
      await firewall.addGrant('ssh', 4, '192.0.2.77', 500)
      assert.ok((await firewall.secondsGranted(wide, 4, '192.0.2.1')) > 400)
      assert.equal(await firewall.secondsGranted(ssh, 4, '192.0.2.1', wide), 0)
      assert.ok((await firewall.secondsGranted(ssh, 4, '192.0.2.0', wide)) > 400)
      await firewall.ensureServices([ssh])
      assert.ok((await firewall.secondsGranted(wide, 4, '192.0.2.0', ssh)) > 400)
    },
  },
  {
    name: 'a change that is called off, or that wants a port of another, changes nothing',
    async run(firewall, nft) {
      await firewall.ensureServices([ssh, mail])
      const seen: ServicePlan[] = []
      const callOff = (plan: ServicePlan) => {
        seen.push(plan)
        return Promise.reject(new Error('called off'))
      }
      await unchanged(nft, () =>
        assert.rejects(firewall.apply({ specs: [web], remove: 'others', prepare: callOff }), /called off/),
      )
      assert.deepEqual(named(seen[0]?.added ?? []), ['web'])
      const shell = service('shell', { ports: ports([1, 24]) })
      await unchanged(nft, () =>
        assert.rejects(firewall.apply({ specs: [{ ...shell, ports: ports(1001) }] }), FirewallError),
      )
      await unchanged(nft, () => assert.rejects(firewall.apply({ specs: [shell] }), FirewallError))
      await firewall.apply({ specs: [shell], replace: true })
      assert.deepEqual(await specs(firewall), [mail, shell])
    },
  },
]
