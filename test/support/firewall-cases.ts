/** What a Firewall must do, on whatever Nft: one table for the fake and for the kernel. Each case finds no table. */
import assert from 'node:assert/strict'
import { FirewallError } from '../../src/nft/nft-errors.js'
import { addChain, addElements, addRule, jump } from '../../src/nft/nft-json.js'
import type { Firewall } from '../../src/nft/reconcile/firewall.js'
import { Firewall as RealFirewall } from '../../src/nft/reconcile/firewall.js'
import { grantComment } from '../../src/nft/table/grant-comment.js'
import type { ServiceSpec } from '../../src/nft/table/service-spec.js'
import { sleep, slowness } from './commands.js'
import { changeCases } from './firewall-changes.js'
import { fleetCases } from './firewall-fleet.js'
import { serviceCases } from './firewall-services.js'
import type { FirewallCase } from './firewall-tools.js'
import {
  chainNames,
  changed,
  counting,
  endsPlan,
  grants,
  nothing,
  packetPathFor,
  ports,
  service,
  specs,
  ssh,
  unchanged,
  web,
} from './firewall-tools.js'

import { upgradeCases } from './firewall-upgrade.js'

export type { FirewallCase } from './firewall-tools.js'

const portTaken = (error: unknown) => error instanceof FirewallError && error.kind === 'port-taken'
const noService = (error: unknown) => error instanceof FirewallError && error.kind === 'no-service'
const byPrefix = service('ssh', { prefix4: 24, prefix6: 64 })

const grantCases: FirewallCase[] = [
  {
    name: 'grants are added, extended, made shorter, and deleted',
    async run(firewall) {
      await firewall.ensureServices([ssh])
      type Step = readonly [
        work: (firewall: Firewall) => ReturnType<Firewall['addGrant']>,
        detail: string,
        left: string[],
      ]
      const steps: readonly Step[] = [
        [f => f.addGrant('ssh', 4, '192.0.2.1', 50), '192.0.2.1 granted', ['192.0.2.1 hand 50']],
        [f => f.addGrant('ssh', 4, '192.0.2.1', 500), '192.0.2.1 extended', ['192.0.2.1 hand 500']],
        [f => f.addGrant('ssh', 4, '192.0.2.1', 90), '192.0.2.1 shortened', ['192.0.2.1 hand 90']],
        [f => f.addGrant('ssh', 4, '192.0.2.1', 50, true), '', ['192.0.2.1 hand 90']],
        [f => f.addGrant('ssh', 4, '192.0.2.1', 500), '192.0.2.1 extended', ['192.0.2.1 hand 500']],
        [f => f.addGrant('ssh', 4, '192.0.2.1', null), '192.0.2.1 extended', ['192.0.2.1 hand for ever']],
        [f => f.addGrant('ssh', 4, '192.0.2.1', null), '', ['192.0.2.1 hand for ever']],
        [f => f.addGrant('ssh', 4, '192.0.2.1', 70, true), '', ['192.0.2.1 hand for ever']],
        [f => f.addGrant('ssh', 4, '192.0.2.1', 70), '192.0.2.1 shortened', ['192.0.2.1 hand 70']],
        [f => f.closeGrant('ssh', 4, '192.0.2.1', () => undefined), '', ['192.0.2.1 hand 70']],
        [f => f.closeGrant('ssh', 4, '192.0.2.1', () => 40), '', ['192.0.2.1 hand 70']],
        [f => f.closeGrant('ssh', 4, '192.0.2.1', () => 71), '192.0.2.1 deleted', []],
        [f => f.addGrant('ssh', 4, '192.0.2.1', 70), '192.0.2.1 granted', ['192.0.2.1 hand 70']],
        [f => f.addGrant('ssh', 4, '192.0.2.1', null), '192.0.2.1 extended', ['192.0.2.1 hand for ever']],
        [f => f.deleteGrant('ssh', 4, '192.0.2.2'), '', ['192.0.2.1 hand for ever']],
        [
          f => f.addGrant('ssh', 6, '2001:db8:0::1', 40),
          '2001:db8::1 granted',
          ['192.0.2.1 hand for ever', '2001:db8::1 hand 40'],
        ],
        [f => f.addGrant('ssh', 6, '2001:db8::1', 20, true), '', ['192.0.2.1 hand for ever', '2001:db8::1 hand 40']],
        [f => f.deleteGrant('ssh', 4, '192.0.2.1'), '192.0.2.1 deleted', ['2001:db8::1 hand 40']],
        [f => f.deleteGrant('ssh', 4, '192.0.2.1'), '', ['2001:db8::1 hand 40']],
        [f => f.deleteGrant('ssh', 6, '2001:db8::1'), '2001:db8::1 deleted', []],
      ]
      for (const [i, [work, detail, left]] of steps.entries()) {
        const { changed, details } = await work(firewall)
        assert.deepEqual([changed, details], [detail !== '', detail === '' ? [] : [detail]], `step ${i}`)
        assert.deepEqual(await grants(firewall), left, `step ${i}`)
      }
    },
  },
  {
    name: 'a grant belongs to its service alone',
    async run(firewall) {
      await firewall.ensureServices([ssh, web])
      await firewall.addGrant('ssh', 4, '192.0.2.1', null)
      assert.deepEqual(await grants(firewall, 'web'), [])
      nothing(await firewall.deleteGrant('web', 4, '192.0.2.1'))
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand for ever'])
    },
  },
  {
    name: 'a grant for a service that is not there is refused',
    async run(firewall, nft) {
      for (const make of [false, true]) {
        if (make) await firewall.ensureServices([web])
        await unchanged(nft, async () => {
          await assert.rejects(firewall.addGrant('ssh', 4, '192.0.2.1', 5), noService)
          await assert.rejects(firewall.deleteGrant('ssh', 4, '192.0.2.1'), noService)
        })
      }
    },
  },
  {
    name: 'a grant keeps what it says of itself, also by other prefixes, and a note of its own replaces it',
    async run(firewall) {
      await firewall.ensureServices([ssh])
      const said = async () =>
        [...(await firewall.services()).values()].flatMap(state =>
          state.grants.map(({ source, comment }) => `${source} ${comment}`),
        )
      const first = grantComment('root (sudo by ada)', undefined, 0)
      const second = grantComment('root', 'on call } timeout 5s', 0)
      changed(await firewall.addGrant('ssh', 4, '192.0.2.1', 500, false, first))
      changed(await firewall.addGrant('ssh', 6, '2001:db8::1', null, false, first))
      assert.deepEqual(await said(), [`192.0.2.1 ${first}`, `2001:db8::1 ${first}`])
      nothing(await firewall.addGrant('ssh', 6, '2001:db8::1', null, false, grantComment('eve', undefined, 0)))
      changed(await firewall.addGrant('ssh', 6, '2001:db8::1', null, false, second))
      nothing(await firewall.addGrant('ssh', 6, '2001:db8::1', null, false, second))
      changed(await firewall.addGrant('ssh', 4, '192.0.2.1', 600, true, second))
      nothing(await firewall.addGrant('ssh', 4, '192.0.2.1', 50, true, first))
      const other = { service: 'ssh', source: '2001:db8::1', by: 'hand', secondsLeft: 5, comment: first } as const
      const replaced = await firewall.replacedBy([other], await firewall.services())
      assert.deepEqual(replaced, [{ ...other, secondsLeft: null, comment: second }])
      changed(await firewall.apply({ specs: [], grants: [other] }))
      assert.deepEqual(await said(), [`192.0.2.1 ${second}`, `2001:db8::1 ${first}`])
      changed(await firewall.ensureServices([byPrefix]))
      assert.deepEqual(await said(), [`192.0.2.0/24 ${second}`, `2001:db8::/64 ${first}`])
    },
  },
  {
    name: 'a service that grants prefixes grants the prefix of the address',
    async run(firewall) {
      await firewall.ensureServices([byPrefix])
      await firewall.addGrant('ssh', 4, '192.0.2.77', null)
      await firewall.addGrant('ssh', 6, '2001:db8::77', 90)
      assert.deepEqual(await grants(firewall), ['192.0.2.0/24 hand for ever', '2001:db8::/64 hand 90'])
      nothing(await firewall.addGrant('ssh', 4, '192.0.2.78', null))
      nothing(await firewall.addGrant('ssh', 4, '192.0.2.78', 50, true))
      nothing(await firewall.addGrant('ssh', 6, '2001:db8::1', 50, true))
      changed(await firewall.deleteGrant('ssh', 4, '192.0.2.99'))
      assert.deepEqual(await grants(firewall), ['2001:db8::/64 hand 90'])
    },
  },
  {
    name: 'a prefix is granted, and taken back, by a service that grants prefixes of its length, and by no other',
    async run(firewall, nft) {
      await firewall.ensureServices([byPrefix, web])
      await firewall.addGrant('ssh', 4, '192.0.2.0/24', null)
      await firewall.addGrant('ssh', 6, '2001:db8::/64', 90)
      assert.deepEqual(await grants(firewall), ['192.0.2.0/24 hand for ever', '2001:db8::/64 hand 90'])
      await unchanged(nft, async () => {
        for (const [name, version, prefix, error] of [
          ['ssh', 4, '192.0.0.0/16', /ssh grants only IPv4 prefixes of 24 bits, not a prefix of 16 bits/],
          ['ssh', 4, '192.0.2.0/25', /not a prefix of 25 bits/],
          ['web', 6, '2001:db8::/64', /web grants only single IPv6 addresses, not a prefix of 64 bits/],
        ] as const) {
          await assert.rejects(firewall.addGrant(name, version, prefix, 5), error)
          await assert.rejects(firewall.deleteGrant(name, version, prefix), error)
        }
      })
      changed(await firewall.deleteGrant('ssh', 4, '192.0.2.0/24'))
      assert.deepEqual(await grants(firewall), ['2001:db8::/64 hand 90'])
    },
  },
  {
    name: 'a delete takes what was granted by knock, too',
    async run(firewall, nft) {
      await firewall.ensureServices([ssh])
      await nft.apply([addElements('pk-ssh-4', [{ elem: { val: '192.0.2.1', timeout: 50 } }])])
      await firewall.addGrant('ssh', 4, '192.0.2.1', null)
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand for ever', '192.0.2.1 knock 50'])
      changed(await firewall.deleteGrant('ssh', 4, '192.0.2.1'))
      assert.deepEqual(await grants(firewall), [])
    },
  },
  {
    name: 'a knock that closes asks for the whole prefix that its service grants',
    async run(firewall) {
      await firewall.ensureServices([byPrefix])
      const asked: string[] = []
      const secondsByKnock = (prefix: string) => (asked.push(prefix), 60)
      await firewall.addGrant('ssh', 6, '2001:db8::1', 40)
      changed(await firewall.closeGrant('ssh', 6, '2001:db8::2', secondsByKnock))
      await firewall.addGrant('ssh', 4, '192.0.2.1', 40)
      changed(await firewall.closeGrant('ssh', 4, '192.0.2.2', secondsByKnock))
      assert.deepEqual([asked, await grants(firewall)], [['2001:db8::/64', '192.0.2.0/24'], []])
    },
  },
  {
    name: 'a knock that closes leaves a shorter grant that a command has made',
    async run(firewall) {
      await firewall.ensureServices([ssh])
      await firewall.addGrant('ssh', 4, '192.0.2.1', 40, false, grantComment('ada', undefined, 0))
      const { changed, leavesByCommand } = await firewall.closeGrant('ssh', 4, '192.0.2.1', () => 600)
      assert.deepEqual([changed, leavesByCommand], [false, true])
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand 40'])
    },
  },
  {
    name: 'a knock that extends the grant of a command leaves it said who has made that',
    async run(firewall) {
      await firewall.ensureServices([ssh])
      const comment = grantComment('ada', 'on call', 0)
      await firewall.addGrant('ssh', 4, '192.0.2.1', 40, false, comment)
      changed(await firewall.addGrant('ssh', 4, '192.0.2.1', 500, true))
      assert.equal((await firewall.services()).get('ssh')?.grants[0]?.comment, comment)
    },
  },
  {
    name: 'a knock that closes leaves what the kernel has granted since',
    async run(firewall, nft) {
      await firewall.ensureServices([ssh])
      await nft.apply([addElements('pk-ssh-4', [{ elem: { val: '192.0.2.1', timeout: 500 } }])])
      const [none, again] = [() => undefined, (prefix: string) => prefix === '192.0.2.1/32']
      assert.equal((await firewall.closeGrant('ssh', 4, '192.0.2.1', none, again)).changed, false)
      assert.deepEqual(await grants(firewall), ['192.0.2.1 knock 500'])
      changed(await firewall.closeGrant('ssh', 4, '192.0.2.1', none, () => false))
      assert.deepEqual(await grants(firewall), [])
    },
  },
  {
    name: 'a longer grant by knock does not stand in the way of a shorter one by hand',
    async run(firewall, nft) {
      await firewall.ensureServices([ssh])
      await nft.apply([addElements('pk-ssh-4', [{ elem: { val: '192.0.2.1', timeout: 500 } }])])
      const first = await firewall.addGrant('ssh', 4, '192.0.2.1', 50)
      assert.deepEqual(first.details, ['192.0.2.1 granted'])
      assert.equal(first.secondsBefore, undefined)
      assert.ok(Math.abs((first.secondsByKnock ?? 0) - 500) < 60, `${first.secondsByKnock}`)
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand 50', '192.0.2.1 knock 500'])
    },
  },
  {
    name: 'an expired grant is gone: it can be deleted, and granted anew',
    async run(firewall) {
      await firewall.ensureServices([ssh])
      // On a slow machine, both must still run when they are looked at.
      const life = Math.ceil(2 * slowness)
      await firewall.addGrant('ssh', 4, '192.0.2.1', life)
      await firewall.addGrant('ssh', 4, '192.0.2.2', life)
      assert.equal((await grants(firewall)).length, 2)
      await sleep(life * 1000 + 200)
      assert.deepEqual(await grants(firewall), [])
      nothing(await firewall.deleteGrant('ssh', 4, '192.0.2.1'))
      assert.deepEqual((await firewall.addGrant('ssh', 4, '192.0.2.2', 50)).details, ['192.0.2.2 granted'])
      assert.deepEqual(await grants(firewall), ['192.0.2.2 hand 50'])
    },
  },
  {
    name: 'a change of the prefix keeps the grants and masks them; of two that become one the longer life counts',
    async run(firewall, nft) {
      await firewall.ensureServices([ssh])
      await firewall.addGrant('ssh', 4, '192.0.2.1', 90)
      await firewall.addGrant('ssh', 4, '192.0.2.2', 900)
      await firewall.addGrant('ssh', 4, '198.51.100.1', 90)
      await firewall.addGrant('ssh', 4, '198.51.100.2', null)
      await firewall.addGrant('ssh', 6, '2001:db8::1:1', 90)
      await nft.apply([addElements('pk-ssh-4', [{ elem: { val: '203.0.113.9', timeout: 1000, expires: 40 } }])])
      changed(await firewall.ensureServices([byPrefix]))
      assert.deepEqual(await specs(firewall), [byPrefix])
      assert.deepEqual(await grants(firewall), [
        '192.0.2.0/24 hand 900',
        '198.51.100.0/24 hand for ever',
        '2001:db8::/64 hand 90',
        '203.0.113.0/24 knock 40',
      ])
    },
  },
  {
    name: 'a change of the prefix gives no second life to a grant in its last second',
    async run(firewall, nft) {
      await firewall.ensureServices([ssh])
      await nft.apply([addElements('pk-ssh-4', [{ elem: { val: '203.0.113.9', timeout: 1000, expires: 1 } }])])
      await sleep(100) // so that less than a whole second is left
      await firewall.ensureServices([byPrefix])
      await sleep(1200)
      assert.deepEqual(await grants(firewall), [])
    },
  },
]

const queueCases: FirewallCase[] = [
  {
    name: 'install makes services and packet path, twice is as good as once, uninstall leaves the services',
    async run(firewall, nft) {
      const packetPath = await packetPathFor(firewall)
      const { details } = await firewall.install([ssh], packetPath)
      assert.deepEqual(details, ['service ssh added'])
      await firewall.addGrant('ssh', 4, '192.0.2.1', 500)
      const names = await chainNames(nft)
      for (const name of ['knock-input', 'answer', 'grant-1', 'gate-input', 'pk-ssh'])
        assert.ok(names.includes(name), name)
      await unchanged(nft, () => firewall.install([ssh], packetPath))
      await firewall.uninstall()
      assert.deepEqual(await chainNames(nft), ['gate-input', 'pk-ssh'])
      assert.deepEqual(
        [...(await nft.list()).sets.keys()].filter(name => !name.startsWith('pk-')),
        [],
      )
      assert.deepEqual(await specs(firewall), [ssh])
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand 500'])
      await unchanged(nft, () => firewall.uninstall())
    },
  },
  {
    name: 'words of packets that change with time are renewed, and leave with the packet path',
    async run(firewall, nft) {
      const shape = (firstWord: number, port: number | null = null) => ({
        ...{ udpLength: 168, firstWord, secondWord: 0xfffffff0 + firstWord, port, interfaces: [] },
      })
      await firewall.install([ssh], await packetPathFor(firewall, { shapes: [shape(1), shape(2), shape(2, 4000)] }))
      const words = async () => {
        const rules = (await nft.list()).chains.get('windowed')?.rules ?? []
        return rules.map(({ expr }) =>
          JSON.stringify(expr)
            .match(/"right":\d+/g)
            ?.map(text => Number(text.slice(8))),
        )
      }
      assert.deepEqual(await words(), [
        [1, 0xfffffff1],
        [2, 0xfffffff2],
      ])
      const jumps = (await nft.list()).chains.get('knock-udp')?.rules ?? []
      assert.equal(jumps.filter(({ expr }) => JSON.stringify(expr).includes('"windowed"')).length, 2)
      await firewall.renewPeriods([[7, 0xffffffff]])
      assert.equal((await nft.list()).chains.get('windowed-answer')?.rules.length, 1)
      assert.deepEqual(await words(), [[7, 0xffffffff]])
      const [element] = (await nft.list()).sets.get('windows')?.elements ?? []
      assert.equal(element?.timeout, 90)
      await firewall.install([], await packetPathFor(firewall))
      assert.ok(!(await chainNames(nft)).includes('windowed'))
      await assert.rejects(firewall.renewPeriods([[7, 7]]))
      await firewall.install([], await packetPathFor(firewall, { shapes: [shape(3)] }))
      await firewall.uninstall()
      assert.deepEqual(await chainNames(nft), ['gate-input', 'pk-ssh'])
      assert.ok(!(await nft.list()).sets.has('windows'))
    },
  },
  {
    name: 'install without services, and uninstall takes the table with it',
    async run(firewall, nft) {
      await firewall.uninstall()
      await firewall.install([], await packetPathFor(firewall))
      assert.equal((await nft.list()).present, true)
      await firewall.uninstall()
      assert.equal((await nft.list()).present, false)
    },
  },
  {
    name: 'install knows the services that are there already, and those that it makes',
    async run(firewall) {
      await firewall.ensureServices([ssh, { ...web, window: 5 }])
      const seen: string[] = []
      const packetPath = await packetPathFor(firewall)
      await firewall.install([web, service('db', { ports: ports(5432) })], services => {
        seen.push(...[...services.values()].map(({ name, window }) => `${name} ${window}`))
        return packetPath(services)
      })
      assert.deepEqual(seen.sort(), ['db 60', 'ssh 60', 'web 60'])
      assert.deepEqual(
        (await specs(firewall)).map(({ name }) => name),
        ['db', 'ssh', 'web'],
      )
    },
  },
  {
    name: 'install on another hook leaves nothing on the first one',
    async run(firewall, nft) {
      await firewall.install([ssh], await packetPathFor(firewall))
      await firewall.install([], await packetPathFor(firewall, { hook: 'prerouting' }))
      const names = await chainNames(nft)
      assert.ok(names.includes('knock-prerouting') && names.includes('gate-prerouting'), names.join())
      assert.ok(!names.includes('knock-input'), names.join())
      const gateOf = async (hook: string) =>
        (await nft.list()).chains.get(`gate-${hook}`)?.rules.map(({ expr }) => Object.keys(expr.at(-1) ?? {})[0])
      assert.deepEqual(await gateOf('input'), ['vmap'])
      assert.deepEqual(await gateOf('prerouting'), ['jump'])
      await firewall.install([], await packetPathFor(firewall))
      assert.deepEqual(await gateOf('input'), ['jump', 'vmap'])
      assert.equal(await gateOf('prerouting'), undefined)
    },
  },
  {
    name: 'install with other plans than before, of services that changed meanwhile',
    async run(firewall, nft) {
      await firewall.install([ssh, web], await packetPathFor(firewall))
      await firewall.ensureServices([{ ...ssh, prefix4: 24, closing: 'reset' }])
      await firewall.removeService('web')
      await firewall.install([], await packetPathFor(firewall, { totalLimit: 0, actions: [] }))
      assert.ok(!(await chainNames(nft)).some(name => /^grant-\d/.test(name)))
      await firewall.install([ssh, web], await packetPathFor(firewall))
      assert.deepEqual(
        (await chainNames(nft)).filter(name => /^grant-\d/.test(name)),
        ['grant-1', 'grant-2'],
      )
    },
  },
  {
    name: 'install makes the table anew when somebody leads into its chains, and grants go on',
    async run(firewall, nft) {
      const packetPath = await packetPathFor(firewall)
      const once = service('once', { ports: ports(2222), singleUse: true })
      await firewall.install([ssh, once], packetPath)
      await firewall.addGrant('ssh', 4, '192.0.2.1', 500)
      await firewall.addGrant('ssh', 6, '2001:db8::1', null)
      await firewall.addGrant('once', 4, '192.0.2.1', 500)
      await nft.apply([addChain('theirs'), addRule('theirs', [jump('candidate')])])
      const { details } = await firewall.install([web], packetPath)
      assert.match(details.join(), /service web added,chains of the table inet pkctl were in use/)
      assert.deepEqual(await specs(firewall), [once, ssh, web])
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand 500', '2001:db8::1 hand for ever'])
      const all = [...(await firewall.services()).values()].flatMap(state => state.grants)
      assert.equal(all.length, 2, 'one of single use may have been used up meanwhile')
      assert.equal((await nft.list()).chains.has('theirs'), false)
      await unchanged(nft, () => firewall.install([ssh, web], packetPath))
    },
  },
  {
    name: 'an install that is refused changes nothing',
    async run(firewall, nft) {
      await firewall.ensureServices([ssh])
      const packetPath = await packetPathFor(firewall)
      const missing = service('missing', { ports: ports(9) })
      const bad = { actions: [{ ...endsPlan, number: 1, grants: [{ service: missing, seconds: 5 }] }] }
      await unchanged(nft, async () => {
        await assert.rejects(firewall.install([web], services => ({ ...packetPath(services), ...bad })))
        await assert.rejects(firewall.install([web, service('db', { ports: web.ports })], packetPath), portTaken)
      })
    },
  },
  {
    name: 'a service can be removed while the packet path grants it',
    async run(firewall, nft) {
      await firewall.install([ssh, web], await packetPathFor(firewall))
      changed(await firewall.removeService('ssh'))
      assert.deepEqual(
        (await specs(firewall)).map(({ name }) => name),
        ['web'],
      )
      changed(await firewall.removeService('web'))
      const { sets, chains } = await nft.list()
      assert.deepEqual(
        [...sets.keys(), ...chains.keys()].filter(name => /pk-|gate-/.test(name)),
        ['gate-input'],
      )
      assert.equal(chains.get('gate-input')?.rules.length, 1)
      assert.ok(chains.has('knock-input'), 'the packet path stays')
      await firewall.uninstall()
      assert.equal((await nft.list()).present, false)
    },
  },
  {
    name: 'services stay when the packet path is put in place and taken away on any hook',
    async run(firewall, nft) {
      const pre = service('pre', { hook: 'prerouting', ports: ports([7000, 7010]) })
      await firewall.install([ssh, pre], await packetPathFor(firewall, { hook: 'prerouting' }))
      assert.deepEqual(await specs(firewall), [pre, ssh])
      await firewall.uninstall()
      assert.deepEqual(await specs(firewall), [pre, ssh])
      assert.deepEqual(await chainNames(nft), ['gate-input', 'gate-prerouting', 'onward', 'pk-pre', 'pk-ssh'])
    },
  },
]

/** Services that are there, those that are installed then, and which of the first are left; undefined: refused. */
const superseded: readonly (readonly [string, ServiceSpec[], ServiceSpec[], string[] | undefined])[] = [
  ['the same port', [service('old')], [service('new')], []],
  ['a range that contains the port', [service('old')], [service('new', { ports: ports([20, 30]) })], []],
  ['any protocol in place of one', [service('old')], [service('new', { protocol: 'any' })], []],
  [
    'two services in place of one',
    [service('old', { ports: ports(22, [100, 200]) })],
    [service('new', { ports: ports([100, 250]) }), service('newer')],
    [],
  ],
  ['one service in place of two', [ssh, web], [service('new', { ports: ports([1, 1000]) })], []],
  [
    'a service that moves, and one that takes its port',
    [service('old', { ports: ports(80) }), ssh],
    [service('ssh', { ports: ports(80) }), service('new')],
    [],
  ],
  ['another port', [service('old')], [service('new', { ports: ports(23) })], ['old']],
  ['another hook', [service('old')], [service('new', { hook: 'prerouting' })], ['old']],
  ['another protocol', [service('old')], [service('new', { protocol: 'udp' })], ['old']],
  ['one port of two', [service('old', { ports: ports(22, 23) })], [service('new')], undefined],
  ['one protocol of any', [service('old', { protocol: 'any' })], [service('new')], undefined],
  ['a part of the range', [service('old', { ports: ports([20, 30]) })], [service('new')], undefined],
]

const replaceCases: FirewallCase[] = superseded.map(([name, before, specsNow, left]) => ({
  name: `install puts services in the place of others: ${name} ${left ? `leaves ${left.join() || 'none'}` : 'is refused'}`,
  async run(firewall, nft) {
    await firewall.ensureServices(before)
    const packetPath = await packetPathFor(firewall)
    if (!left) {
      await unchanged(nft, () => assert.rejects(firewall.install(specsNow, packetPath), portTaken))
      return
    }
    const { details } = await firewall.install(specsNow, packetPath)
    const want = [...before.filter(({ name }) => left.includes(name)), ...specsNow]
    assert.deepEqual(
      await specs(firewall),
      want.sort((a, b) => (a.name < b.name ? -1 : 1)),
    )
    const gone = before.map(({ name }) => name).filter(name => !want.some(spec => spec.name === name))
    for (const name of gone) {
      assert.ok(details.includes(`service ${name} was replaced: other services protect its ports now`), details.join())
    }
    const { sets, chains } = await nft.list()
    const traces = [...sets.keys(), ...chains.keys()].filter(key => gone.some(name => key.startsWith(`pk-${name}`)))
    assert.deepEqual(traces, [])
    await unchanged(nft, () => firewall.install(specsNow, packetPath))
  },
}))

const renameCases: FirewallCase[] = [
  {
    name: 'a service that install gives another name, while a packet path grants it, closes without a gap',
    async run(firewall, nft) {
      const counted = counting(nft)
      const through = new RealFirewall({ ...firewall.access, nft: counted.nft })
      await through.install([ssh, web], await packetPathFor(firewall))
      await through.addGrant('web', 4, '192.0.2.1', 500)
      const before = counted.transactions()
      const shell = service('shell')
      const seen: string[] = []
      const packetPath = await packetPathFor(firewall)
      const { details } = await through.install([shell, web], services => {
        seen.push(...services.keys())
        return packetPath(services)
      })
      assert.equal(counted.transactions() - before, 1)
      assert.deepEqual(details, [
        'shell: service shell added',
        'service ssh was replaced: other services protect its ports now',
      ])
      assert.deepEqual(seen.sort(), ['shell', 'web'])
      assert.deepEqual(await specs(firewall), [shell, web])
      assert.deepEqual(await grants(firewall, 'web'), ['192.0.2.1 hand 500'])
    },
  },
  {
    name: 'only install replaces a service: to make one of another name on its port is refused',
    async run(firewall, nft) {
      await firewall.ensureServices([ssh])
      await unchanged(nft, () => assert.rejects(firewall.ensureServices([service('shell')]), portTaken))
      await unchanged(nft, async () =>
        firewall.install([], await packetPathFor(firewall)).then(() => firewall.uninstall()),
      )
    },
  },
]

const quiesceCases: FirewallCase[] = [
  {
    name: 'a packet path that was quieted lets nothing out, still grants, and goes or comes back like any other',
    async run(firewall, nft) {
      for (const hook of ['input', 'prerouting'] as const) {
        const packetPath = await packetPathFor(firewall, { hook })
        await firewall.install([ssh], packetPath)
        const names = await chainNames(nft)
        await firewall.quiesce()
        assert.deepEqual(
          await chainNames(nft),
          names.filter(name => name !== `knock-${hook}`),
        )
        assert.ok(names.includes(`gate-${hook}`) && names.includes('grant-1'), names.join())
        assert.equal(await firewall.queueInUse(), 62)
        await unchanged(nft, () => firewall.quiesce())
        await firewall.install([ssh], packetPath)
        assert.deepEqual(await chainNames(nft), names)
        await firewall.quiesce()
        await firewall.uninstall()
        assert.deepEqual(await chainNames(nft), ['gate-input', 'pk-ssh'])
        assert.deepEqual(await specs(firewall), [ssh])
      }
    },
  },
  {
    name: 'where there is no packet path, quieting it changes nothing, and no queue is in use',
    async run(firewall, nft) {
      for (const make of [false, true]) {
        if (make) await firewall.ensureServices([ssh])
        await unchanged(nft, () => firewall.quiesce())
        assert.equal(await firewall.queueInUse(), undefined)
      }
    },
  },
  {
    name: 'the queue in use is that of the packet path, for as long as there is one',
    async run(firewall) {
      for (const queue of [0, 62, 65_535]) {
        await firewall.install([ssh], await packetPathFor(firewall, { queue }))
        assert.equal(await firewall.queueInUse(), queue)
      }
      await firewall.uninstall()
      assert.equal(await firewall.queueInUse(), undefined)
    },
  },
  {
    name: 'limits of 0 are no rules, and an install with others replaces them',
    async run(firewall, nft) {
      const limits = async () => {
        const { chains } = await nft.list()
        const rules = ['candidate', 'admitted', 'excess'].flatMap(name => chains.get(name)?.rules ?? [])
        return rules.flatMap(({ expr }) =>
          [...JSON.stringify(expr).matchAll(/"rate": ?(\d+)/g)].map(found => Number(found[1])),
        )
      }
      await firewall.install([ssh], await packetPathFor(firewall, { perSourceLimit: 5, excessLimit: 0, totalLimit: 0 }))
      assert.deepEqual(await limits(), [5, 5, 500, 500])
      await firewall.install([ssh], await packetPathFor(firewall, { perSourceLimit: 6, excessLimit: 7, totalLimit: 8 }))
      assert.deepEqual(await limits(), [6, 6, 500, 500, 8, 7])
    },
  },
]

export const firewallCases: readonly FirewallCase[] = [
  ...serviceCases,
  ...changeCases,
  ...grantCases,
  ...queueCases,
  ...replaceCases,
  ...renameCases,
  ...upgradeCases,
  ...quiesceCases,
  ...fleetCases,
]
