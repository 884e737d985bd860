import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { addTable, deleteTable } from '../../../../src/nft/nft-json.js'
import { LockError } from '../../../../src/nft/lock.js'
import { Firewall } from '../../../../src/nft/reconcile/firewall.js'
import { GrantTracker } from '../../../../src/nft/reconcile/grant-tracker.js'
import { RecentGrants } from '../../../../src/nft/reconcile/recent-grants.js'
import { Reconciler } from '../../../../src/nft/reconcile/reconciler.js'
import { Marks } from '../../../../src/nft/table/marks.js'
import { FakeNft, fakeRuleset, noStandby } from '../../../support/fake-nft.js'
import { packetPathFor, ssh } from '../../../support/firewall-tools.js'

const set = 'pk-ssh.add-4'

type StandbyParts = ConstructorParameters<typeof Reconciler>[2]

/** A firewall that was installed, and a tracker that knows its grants. */
async function bench(standby: StandbyParts = noStandby) {
  let now = 1000
  const nft = new FakeNft({ now: () => now })
  const apply = nft.apply.bind(nft)
  const ruleset = { ...fakeRuleset(nft) }
  const firewall = new Firewall(ruleset)
  const tracker = new GrantTracker(new Marks(0xffff0000), () => now, new RecentGrants())
  const reconciler = new Reconciler(ruleset, tracker, standby)
  const tell = (
    verb: string,
    kind: string,
    name: string,
    elements: { value: string; timeout: number | null }[] = [],
  ) => {
    const given = elements.map(element => ({ ...element, expires: element.timeout }))
    const event = { verb, kind, family: 'inet', table: 'pkctl', name, elements: given }
    reconciler.follow({ events: [event], by: '', lost: false })
  }
  // The monitor reports barriers at once.
  nft.apply = async commands => {
    await apply(commands)
    for (const [, name] of JSON.stringify(commands).matchAll(/"name":"(sign-\d+)"/g)) {
      setImmediate(() => {
        tell('add', 'chain', name as string)
      })
    }
  }
  const packetPath = await packetPathFor(firewall)
  const { commands } = await firewall.install([ssh], packetPath)
  const services = new Map([[ssh.name, ssh]])
  await reconciler.adopt(commands, services, packetPath(services))
  assert.ok(await reconciler.readGrants(() => true))
  const pass = (seconds: number) => (now += seconds)
  return { nft, ruleset, reconciler, tracker, tell, pass, reconcile: () => reconciler.reconcile(packetPath, false) }
}

const addresses = (second: number, count: number) =>
  Array.from({ length: count }, (_, i) => `10.${second}.${i >> 8}.${i & 255}`)

describe('Reconciler', () => {
  it('wakes a table that nft cannot list for its flags', async () => {
    const { nft, reconcile } = await bench()
    const [apply, list] = [nft.apply.bind(nft), nft.list.bind(nft)]
    let sleeps = true
    nft.list = options => (sleeps ? Promise.reject(new SyntaxError('Unexpected end of JSON input')) : list(options))
    nft.apply = commands => {
      if (JSON.stringify(commands) === JSON.stringify([addTable()])) sleeps = false
      return apply(commands)
    }
    const { drift, restored } = await reconcile()
    assert.deepEqual({ drift, restored }, { drift: ['the table is dormant'], restored: 0 })
    assert.equal((await list()).flagged, false)
  })

  it('makes the rest of a table that only closes ports, and says since when they are closed', async () => {
    const kept: string[][] = []
    const standby = {
      ...noStandby,
      keep: (services: ReadonlyMap<string, unknown>) => void kept.push([...services.keys()]),
    }
    const { nft, reconciler, reconcile } = await bench(standby)
    await nft.apply([deleteTable()])
    await nft.apply([addTable()])
    standby.closePorts = () => Promise.resolve(true)
    await reconciler.closePorts()
    const closed = performance.now()
    const { drift, at = Infinity } = await reconcile()
    assert.deepEqual(drift, ['the table inet pkctl was deleted'])
    assert.ok(at <= closed)
    assert.ok((await nft.list()).chains.has('knock-input'))
    assert.deepEqual((await reconcile()).drift, [])
    assert.deepEqual(kept.at(-1), ['ssh'])
  })

  it('has what closes ports wait where the table is to be owned, too: its owner may end', async () => {
    const said: string[] = []
    const standby = { ...noStandby, keep: () => void said.push('keep'), stop: () => void said.push('stop') }
    const { nft, reconciler, reconcile } = await bench(standby)
    reconciler.requirePersist(true)
    const list = nft.list.bind(nft)
    nft.list = async options => ({ ...(await list(options)), persist: true })
    await reconcile()
    assert.deepEqual(said, ['keep'])
  })

  it('gives up on a list that stays unreadable', async () => {
    const { nft, reconcile } = await bench()
    nft.list = () => Promise.reject(new SyntaxError('Unexpected end of JSON input'))
    await assert.rejects(reconcile(), SyntaxError)
  })

  it('grants that end while others are restored keep none of these out', async () => {
    const { nft, tell, pass, reconcile } = await bench()
    const ending = addresses(1, 300).map(value => ({ value, timeout: 3 }))
    tell('add', 'element', set, [...ending, ...addresses(2, 6000).map(value => ({ value, timeout: null }))])
    await nft.apply([deleteTable()])
    const apply = nft.apply.bind(nft)
    nft.apply = async commands => {
      await apply(commands)
      if (JSON.stringify(commands).includes('10.2.0.0')) pass(4)
    }
    const { restored } = await reconcile()
    const there = (await nft.list()).sets.get(set)?.elements.map(({ value }) => JSON.stringify(value)) ?? []
    assert.equal(there.filter(value => value.startsWith('"10.2.')).length, 6000)
    assert.equal(restored, 6300)
  })

  it('says how many grants it gives up, when nft does not take them', async () => {
    const { nft, tell, reconcile } = await bench()
    tell(
      'add',
      'element',
      set,
      addresses(2, 6000).map(value => ({ value, timeout: null })),
    )
    const flushAndReconcile = async (flushAgain: boolean) => {
      await nft.apply([deleteTable()])
      const apply = nft.apply.bind(nft)
      nft.apply = async commands => {
        if (!JSON.stringify(commands).includes('10.2.20.0')) return apply(commands)
        if (flushAgain) await apply([deleteTable()])
        throw new Error('nft took longer than 10 s')
      }
      const { restored, givenUp } = await reconcile()
      nft.apply = apply
      return { restored, givenUp }
    }
    assert.deepEqual(await flushAndReconcile(false), { restored: 5000, givenUp: 1000 })
    assert.deepEqual(
      await flushAndReconcile(true),
      { restored: 5000, givenUp: undefined },
      'the next one restores them',
    )
  })

  it('says how many grants it gives up, when the monitor does not come to what restored the table', async t => {
    const { nft, tell, reconcile } = await bench()
    tell(
      'add',
      'element',
      set,
      addresses(2, 3).map(value => ({ value, timeout: null })),
    )
    await nft.apply([deleteTable()])
    t.mock.timers.enable({ apis: ['setTimeout'] })
    nft.apply = FakeNft.prototype.apply.bind(nft)
    const reconciled = reconcile()
    for (let i = 0; i < 100; i++) {
      await new Promise(resolve => setImmediate(resolve))
      t.mock.timers.tick(1000)
    }
    const { drift, restored, givenUp } = await reconciled
    assert.deepEqual(
      { drift, restored, givenUp },
      { drift: ['the table inet pkctl was deleted'], restored: 0, givenUp: 3 },
    )
  })

  it('a read that is no longer current changes nothing', async () => {
    const { reconciler, tracker, tell, reconcile, nft } = await bench()
    tell('add', 'element', set, [{ value: '192.0.2.1', timeout: null }])
    tracker.forgetAll()
    assert.equal(await reconciler.readGrants(() => false), false)
    await nft.apply([deleteTable()])
    assert.equal((await reconcile()).restored, 0, 'it is not known that the grant runs')
  })

  it('makes a table that is gone again although another program keeps the lock, and changes nothing else', async () => {
    const { nft, ruleset, reconcile } = await bench()
    Object.assign(ruleset, { exclusive: () => Promise.reject(new LockError('cron, process 7, has it')) })
    const { length } = nft.applied
    await assert.rejects(reconcile(), /cron, process 7, has it/)
    assert.equal(nft.applied.length, length)
    await nft.apply([deleteTable()])
    assert.deepEqual((await reconcile()).drift, ['the table inet pkctl was deleted'])
    assert.equal((await nft.list()).chains.has('pk-ssh'), true)
  })
})
