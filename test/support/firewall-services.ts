/** The cases that are about services. */
import assert from 'node:assert/strict'
import type { PortRange } from '../../src/net/ports.js'
import { protocolNumbers } from '../../src/net/protocols.js'
import { FirewallError, NftError } from '../../src/nft/nft-errors.js'
import type { Command, Hook, Json } from '../../src/nft/nft-json.js'
import {
  accept,
  addChain,
  addElements,
  addRule,
  addVerdictMap,
  concat,
  deleteElements,
  deleteMap,
  deleteRule,
  field,
  flushChain,
  goto,
  inSet,
  meta,
  source,
  vmap,
} from '../../src/nft/nft-json.js'
import type { ListedRule } from '../../src/nft/listing.js'
import type { FirewallResult } from '../../src/nft/reconcile/firewall.js'
import { Firewall as RealFirewall } from '../../src/nft/reconcile/firewall.js'
import type { ServiceSpec } from '../../src/nft/table/service-spec.js'
import type { FirewallCase } from './firewall-tools.js'
import { changed, grants, nothing, ports, service, setNamesIn, specs, ssh, unchanged, web } from './firewall-tools.js'

/** Every way in which a service can differ from a plain one. */
const variants: Readonly<Record<string, Partial<ServiceSpec>>> = {
  plain: {},
  udp: { protocol: 'udp' },
  sctp: { protocol: 'sctp' },
  'any protocol': { protocol: 'any' },
  'any protocol and a range': { protocol: 'any', ports: ports(53, [1000, 1010]) },
  'several ports': { ports: ports(22, 2222, 65_535) },
  'ports and ranges': { ports: ports(22, [100, 200], 300, [400, 401]) },
  'ranges side by side': { ports: ports([100, 199], [200, 299]) },
  'all ports': { ports: ports([1, 65_535]) },
  syn: { syn: true },
  reset: { closing: 'reset' },
  'reset, any protocol': { closing: 'reset', protocol: 'any' },
  icmp: { closing: 'icmp' },
  'watching only': { closing: 'accept' },
  'single use': { singleUse: true },
  'fail-open': { failOpen: true },
  'single use, syn': { singleUse: true, syn: true },
  'single use, by prefix': { singleUse: true, prefix4: 24, prefix6: 64 },
  'another window': { window: 86_400 },
  prefixes: { prefix4: 25, prefix6: 57 },
  'shortest prefixes': { prefix4: 1, prefix6: 1 },
  allow: { allow: ['192.0.2.0/24', '203.0.113.5/32', '2001:db8::/33', '2001:db9::1/128'] },
  'allow side by side': { allow: ['10.0.0.0/25', '10.0.0.128/25'] },
  'allow everybody': { allow: ['0.0.0.0/0', '::/0'] },
  prerouting: { hook: 'prerouting' },
  'one interface': { interfaces: ['eth0'] },
  'several interfaces': { interfaces: ['eth0', 'ppp*', 'wg-home.1'] },
  'an interface, prerouting': { interfaces: ['ppp*'], hook: 'prerouting' },
  log: { log: { prefix: 'pkctl ssh: ', level: 'info', rate: { count: 6, unit: 'minute' }, burst: 3 } },
  'log without a limit': { log: { prefix: 'x', level: 'warn', rate: null, burst: 0 } },
  'log without a prefix': { log: { prefix: '', level: 'debug', rate: { count: 1, unit: 'second' }, burst: 5 } },
}

const roundTrips: FirewallCase[] = Object.entries(variants).map(([name, change]) => ({
  name: `a service (${name}) is read back as it was made, and made again changes nothing`,
  async run(firewall) {
    const spec = service('ssh', change)
    const { details } = await firewall.ensureServices([spec])
    assert.deepEqual(details, ['service ssh added'])
    assert.deepEqual(await specs(firewall), [spec])
    nothing(await firewall.ensureServices([spec]))
  },
}))

const changes: FirewallCase[] = Object.entries(variants).map(([name, change]) => ({
  name: `a service becomes another (${name}) and a plain one again, and its grants stay`,
  async run(firewall, nft) {
    await firewall.ensureServices([ssh])
    const sets = await setNamesIn(nft)
    await firewall.addGrant('ssh', 4, '192.0.2.1', 500)
    await firewall.addGrant('ssh', 6, '2001:db8::1', null)
    const there = service('ssh', change)
    const { changed, details } = await firewall.ensureServices([there])
    assert.equal(changed, name !== 'plain')
    assert.deepEqual(details.map(detail => detail.split(':')[0]).sort(), Object.keys(change).sort())
    assert.deepEqual(await specs(firewall), [there])
    await firewall.ensureServices([ssh])
    assert.deepEqual(await specs(firewall), [ssh])
    assert.deepEqual(await setNamesIn(nft), sets)
    if (there.prefix4 === 32) {
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand 500', '2001:db8::1 hand for ever'])
    }
  },
}))

const additions: FirewallCase[] = [
  {
    name: 'a service of a new name is added, and one that is there stays as it is',
    async run(firewall, nft) {
      changed(await firewall.apply({ specs: [ssh], onlyNew: true }))
      await firewall.addGrant('ssh', 4, '192.0.2.1', null)
      for (const change of [{}, { syn: true }, { ports: ports(23), log: null }]) {
        await unchanged(nft, async () =>
          nothing(await firewall.apply({ specs: [service('ssh', change)], onlyNew: true })),
        )
      }
      changed(await firewall.apply({ specs: [web], onlyNew: true }))
      assert.deepEqual(await specs(firewall), [ssh, web])
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand for ever'])
    },
  },
  {
    name: 'a service of a new name gets no port that is guarded already',
    async run(firewall, nft) {
      await firewall.apply({ specs: [ssh], onlyNew: true })
      const refusal = (error: unknown) => error instanceof FirewallError && error.kind === 'port-taken'
      await unchanged(nft, () => assert.rejects(firewall.apply({ specs: [service('other')], onlyNew: true }), refusal))
    },
  },
]

const taken: readonly (readonly [string, Partial<ServiceSpec>, Partial<ServiceSpec>, boolean])[] = [
  ['the same port', {}, {}, true],
  ['a port inside a range', { ports: ports([20, 30]) }, {}, true],
  ['ranges that overlap', { ports: ports([20, 30]) }, { ports: ports([30, 40]) }, true],
  ['one port of several', { ports: ports(1, 22, 99) }, { ports: ports(2, 99) }, true],
  ['any protocol first', { protocol: 'any' }, {}, true],
  ['any protocol second', { protocol: 'udp' }, { protocol: 'any' }, true],
  ['ranges side by side', { ports: ports([20, 29]) }, { ports: ports([30, 40]) }, false],
  ['another protocol', {}, { protocol: 'udp' }, false],
  ['another hook', {}, { hook: 'prerouting' }, false],
]

const portsTaken: FirewallCase[] = taken.map(([name, first, second, refused]) => ({
  name: `two services: ${name} ${refused ? 'is refused with nothing changed' : 'is free'}`,
  async run(firewall, nft) {
    const [a, b] = [service('a', first), service('b', second)]
    const refusal = (error: unknown) => error instanceof FirewallError && error.kind === 'port-taken'
    if (!refused) {
      await firewall.ensureServices([a])
      await firewall.ensureServices([b])
      assert.deepEqual(await specs(firewall), [a, b])
      return
    }
    await unchanged(nft, () => assert.rejects(firewall.ensureServices([a, b]), refusal))
    await firewall.ensureServices([a])
    await unchanged(nft, () => assert.rejects(firewall.ensureServices([service('c', { ports: ports(1) }), b]), refusal))
  },
}))

const exchanged: readonly (readonly [PortRange[], PortRange[]])[] = [
  [ports(22), ports(80)],
  [ports([10, 20]), ports([30, 40])],
  [ports(5), ports([100, 200])],
  [ports(1, [100, 200]), ports(2, 3, [201, 300])],
]

const wide = service('ssh', { ports: ports(22, [100, 200]) })
const any = service('ssh', { protocol: 'any' })
const anyWide = service('ssh', { protocol: 'any', ports: ports(22, [100, 200]) })

/** What somebody may do by hand to service ssh, given the rules of its chain and of its gate. */
const damages: readonly (readonly [string, ServiceSpec, (rules: Rules, gate: Rules) => Command[]])[] = [
  ['first rule deleted', ssh, rules => [deleteRule('pk-ssh', rules[0]?.handle ?? 0)]],
  ['last rule deleted', ssh, rules => [deleteRule('pk-ssh', rules.at(-1)?.handle ?? 0)]],
  ['rule added', ssh, () => [addRule('pk-ssh', [{ accept: null }], 'granted by knock')]],
  ['rule exchanged', ssh, rules => exchange(rules[0], rules.at(-1))],
  ['chain emptied', ssh, () => [flushChain('pk-ssh')]],
  ['gate emptied', ssh, () => [flushChain('gate-input')]],
  ['gate without its first rule', wide, (_, gate) => [deleteRule('gate-input', gate[0]?.handle ?? 0)]],
  ['gate without its second rule', wide, (_, gate) => [deleteRule('gate-input', gate[1]?.handle ?? 0)]],
  ['map emptied', ssh, () => [{ flush: { map: { family: 'inet', table: 'pkctl', name: 'services-input' } } }]],
  ...Object.entries(protocolNumbers).flatMap(([name, number]) => [
    [`${name} taken out of the map`, any, () => [leave('services-input', concat(number, 22))]] as const,
    [`${name} taken out of the ranges`, anyWide, () => [leave(`ranges-${name}-input`, { range: [100, 200] })]] as const,
  ]),
]

type Rules = readonly ListedRule[]

const leave = (map: string, value: Json): Command => deleteElements(map, [[value, goto('pk-ssh')]])

/** Turns the gate into what earlier versions made: one map of ranges for all protocols. */
function asBefore(
  places: readonly (readonly [protocol: number, first: number, last: number, chain: string])[],
): Command[] {
  const key = concat(meta('l4proto'), field('th', 'dport'))
  const protocols = new Set(places.map(([protocol]) => protocol))
  return [
    flushChain('gate-input'),
    ...Object.entries(protocolNumbers).flatMap(([name, number]) =>
      protocols.has(number) ? [deleteMap(`ranges-${name}-input`)] : [],
    ),
    addVerdictMap({ name: 'ranges-input', type: ['inet_proto', 'inet_service'], flags: ['interval'] }),
    ...['services-input', 'ranges-input'].map(map => addRule('gate-input', [vmap(key, map)])),
    ...places.map(([protocol, first, last, chain]) =>
      addElements('ranges-input', [[concat(protocol, { range: [first, last] }), goto(chain)]]),
    ),
  ]
}

/** As many rules as before, and the last one says what it said. */
function exchange(first: ListedRule | undefined, last: ListedRule | undefined): Command[] {
  return [
    deleteRule('pk-ssh', first?.handle ?? 0),
    deleteRule('pk-ssh', last?.handle ?? 0),
    addRule('pk-ssh', [{ accept: null }], 'let everybody in'),
    addRule('pk-ssh', [{ drop: null }], last?.comment),
  ]
}

const services: FirewallCase[] = [
  {
    name: 'services are added and removed in any order; with the last one the table goes',
    async run(firewall, nft) {
      const db = service('db', { protocol: 'any', ports: ports([5000, 5010]), hook: 'prerouting' })
      const all = [ssh, web, db]
      for (const order of [
        [0, 1, 2],
        [2, 1, 0],
        [1, 2, 0],
      ]) {
        for (const i of order) changed(await firewall.ensureServices([all[i] as ServiceSpec]))
        assert.deepEqual(await specs(firewall), [db, ssh, web])
        for (const i of order) changed(await firewall.removeService((all[i] as ServiceSpec).name))
        assert.equal((await nft.list()).present, false)
      }
    },
  },
  {
    name: 'several services in one call are one transaction, and only those that differ are touched',
    async run(firewall) {
      const { details } = await firewall.ensureServices([ssh, web])
      assert.deepEqual(details, ['ssh: service ssh added', 'web: service web added'])
      const change = await firewall.ensureServices([ssh, { ...web, window: 5 }])
      assert.deepEqual(change.details, ['web: window: 60 -> 5'])
      assert.ok(!JSON.stringify(change.commands).includes('pk-ssh'))
      nothing(await firewall.ensureServices([]))
    },
  },
  {
    name: 'two services exchange their ports in one call',
    async run(firewall) {
      for (const [one, other] of exchanged) {
        const [a, b] = [service('a', { ports: one }), service('b', { ports: other })]
        await firewall.ensureServices([a, b])
        const [a2, b2] = [service('a', { ports: other }), service('b', { ports: one })]
        changed(await firewall.ensureServices([a2, b2]))
        assert.deepEqual(await specs(firewall), [a2, b2])
        changed(await firewall.ensureServices([b, a]))
        assert.deepEqual(await specs(firewall), [a, b])
      }
    },
  },
  {
    name: 'a service goes to another hook and back, and leaves nothing there when it is removed',
    async run(firewall, nft) {
      for (const hook of ['input', 'prerouting', 'input'] as const) {
        await firewall.ensureServices([service('ssh', { hook, ports: ports(22, [100, 200]) })])
        assert.equal((await specs(firewall))[0]?.hook, hook)
      }
      await firewall.removeService('ssh')
      assert.equal((await nft.list()).present, false)
    },
  },
  {
    name: 'the gate of a hook goes with its last service, and stays while there is another',
    async run(firewall, nft) {
      const wide = (hook: Hook) => service('ssh', { hook, ports: ports(22, [100, 200]) })
      const there = async () => {
        const { chains, maps } = await nft.list()
        return [...chains.keys(), ...maps.keys()].filter(name => !name.startsWith('pk-')).sort()
      }
      const onInput = ['gate-input', 'ranges-tcp-input', 'services-input']
      const onPrerouting = ['gate-prerouting', 'onward', 'ranges-tcp-prerouting', 'services-prerouting']
      await firewall.ensureServices([wide('input')])
      assert.deepEqual(await there(), onInput)
      await firewall.ensureServices([wide('prerouting')])
      assert.deepEqual(await there(), onPrerouting)
      await firewall.ensureServices([web])
      assert.deepEqual(await there(), ['gate-input', ...onPrerouting, 'services-input'].sort())
      await firewall.ensureServices([wide('input')])
      assert.deepEqual(await there(), onInput)
      // Without a range again: nothing looks into its map any more, which goes with the gate.
      await firewall.ensureServices([service('ssh')])
      assert.deepEqual(await there(), onInput)
    },
  },
  {
    name: 'ranges of a table that an earlier version made are read, and move to the maps of today with the next change',
    async run(firewall, nft) {
      const { tcp, udp } = protocolNumbers
      const db = service('db', { protocol: 'udp', ports: ports(9, [300, 400]) })
      const old = asBefore([
        [tcp, 100, 200, 'pk-ssh'],
        [udp, 300, 400, 'pk-db'],
      ])
      const maps = async () => [...(await nft.list()).maps.keys()].sort()
      const narrow = service('ssh', { ports: ports([150, 180], 500) })
      const changes: [string, () => Promise<FirewallResult>, ServiceSpec[]][] = [
        ['the service is made again', () => firewall.ensureServices([wide]), [db, wide]],
        ['the service has other ports', () => firewall.ensureServices([narrow]), [db, narrow]],
        ['another one comes', () => firewall.ensureServices([web]), [db, wide, web]],
        ['all by themselves', () => firewall.apply({ specs: [wide], remove: 'others' }), [wide]],
      ]
      for (const [name, change, expected] of changes) {
        await firewall.ensureServices([wide, db])
        await firewall.addGrant('ssh', 4, '192.0.2.1', null)
        try {
          await nft.apply(old)
        } catch (error) {
          // The kernel may refuse what nft makes of it: the very reason for other maps.
          if (error instanceof NftError && error.kind === 'unsupported') return
          throw error
        }
        const read = [...(await firewall.services()).values()]
        assert.deepEqual(
          read.map(({ spec }) => spec),
          [db, wide],
        )
        assert.deepEqual(
          read.map(({ sound }) => sound),
          [false, false],
        )
        changed(await change())
        assert.deepEqual(await specs(firewall), expected, name)
        assert.ok(!(await maps()).includes('ranges-input'), name)
        assert.deepEqual(await grants(firewall), ['192.0.2.1 hand for ever'])
        for (const { name } of expected) await firewall.removeService(name)
      }
      await firewall.ensureServices([wide, db])
      await nft.apply(old)
      changed(await firewall.removeService('db'))
      assert.deepEqual(
        [...(await firewall.services()).values()].map(({ spec }) => spec),
        [wide],
      )
      changed(await firewall.removeService('ssh'))
      assert.equal((await nft.list()).present, false)
    },
  },
  {
    name: 'a set into which somebody else looks stays, and is empty',
    async run(firewall, nft) {
      await firewall.ensureServices([service('ssh', { allow: ['10.0.0.0/8'] })])
      const looks = addRule('mine', [inSet(source(4), 'pk-ssh.allow-4'), accept()])
      await nft.apply([addChain('mine'), looks])
      changed(await firewall.ensureServices([ssh]))
      assert.deepEqual(await specs(firewall), [ssh])
      assert.ok((await setNamesIn(nft)).includes('pk-ssh.allow-4'))
    },
  },
  {
    name: 'removing what is not there changes nothing',
    async run(firewall, nft) {
      nothing(await firewall.removeService('ssh'))
      await firewall.ensureServices([web])
      nothing(await firewall.removeService('ssh'))
      assert.deepEqual(
        [...(await nft.list()).sets.keys()].filter(name => name.includes('ssh')),
        [],
      )
    },
  },
  {
    name: 'a name that begins like another one is another one',
    async run(firewall) {
      const all = ['a', 'a-4', 'a-6', 'ab'].map((name, i) => service(name, { ports: ports(100 + i) }))
      await firewall.ensureServices(all)
      await firewall.addGrant('a', 4, '192.0.2.1', null)
      await firewall.removeService('a-4')
      assert.deepEqual(
        (await specs(firewall)).map(({ name }) => name),
        ['a', 'a-6', 'ab'],
      )
      assert.deepEqual(await grants(firewall, 'a'), ['192.0.2.1 hand for ever'])
    },
  },
  {
    name: 'twenty services with allowed prefixes are read as they are',
    async run(firewall) {
      const all = Array.from({ length: 20 }, (_, i) =>
        service(`s${10 + i}`, { ports: ports(1000 + i), allow: [`10.${i}.0.0/16`] }),
      )
      await firewall.ensureServices(all)
      assert.deepEqual(await specs(firewall), all)
      nothing(await firewall.ensureServices(all))
    },
  },
  {
    name: 'a damaged service is mended, and its grants stay',
    async run(firewall, nft) {
      await firewall.ensureServices([ssh, web])
      await firewall.addGrant('ssh', 4, '192.0.2.1', null)
      for (const [name, spec, damage] of damages) {
        await firewall.ensureServices([spec, web])
        const { chains } = await nft.list()
        await nft.apply(damage(chains.get('pk-ssh')?.rules ?? [], chains.get('gate-input')?.rules ?? []))
        assert.notEqual((await firewall.services()).get('ssh')?.sound, true, name)
        changed(await firewall.ensureServices([spec, web]))
        assert.deepEqual(await specs(firewall), [spec, web], name)
        nothing(await firewall.ensureServices([spec, web]))
        assert.deepEqual(await grants(firewall), ['192.0.2.1 hand for ever'], name)
      }
    },
  },
  {
    name: 'dry runs say what they would do, and change nothing',
    async run(firewall, nft) {
      const dry = new RealFirewall(firewall.access, true)
      await unchanged(nft, async () => changed(await dry.ensureServices([ssh])))
      await firewall.ensureServices([ssh])
      await firewall.addGrant('ssh', 4, '192.0.2.9', 500)
      await unchanged(nft, async () => {
        assert.deepEqual((await dry.ensureServices([{ ...ssh, closing: 'reset' }])).details, ['closing: drop -> reset'])
        nothing(await dry.ensureServices([ssh]))
        changed(await dry.addGrant('ssh', 4, '192.0.2.1', 5))
        changed(await dry.deleteGrant('ssh', 4, '192.0.2.9'))
        changed(await dry.removeService('ssh'))
      })
      assert.deepEqual(await grants(firewall), ['192.0.2.9 hand 500'])
    },
  },
]

export const serviceCases: readonly FirewallCase[] = [
  ...roundTrips,
  ...changes,
  ...additions,
  ...portsTaken,
  ...services,
]
