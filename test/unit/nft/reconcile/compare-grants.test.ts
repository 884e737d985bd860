/** Where the kernel's grants are not those that are known, and what is done about it, with a kernel in memory. */
import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { addElements, deleteElements, flushSet } from '../../../../src/nft/nft-json.js'
import { signed } from '../../../../src/nft/reconcile/barrier.js'
import type { GrantDifferences } from '../../../../src/nft/reconcile/compare-grants.js'
import { Firewall } from '../../../../src/nft/reconcile/firewall.js'
import { GrantTracker } from '../../../../src/nft/reconcile/grant-tracker.js'
import { RecentGrants } from '../../../../src/nft/reconcile/recent-grants.js'
import { Reconciler } from '../../../../src/nft/reconcile/reconciler.js'
import { Marks } from '../../../../src/nft/table/marks.js'
import { FakeNft, fakeRuleset, noStandby } from '../../../support/fake-nft.js'
import { packetPathFor, ssh } from '../../../support/firewall-tools.js'

const set = 'pk-ssh.add-4'
const timed = (val: string, timeout: number) => ({ elem: { val, timeout } })

async function bench() {
  let now = 1000
  const nft = new FakeNft({ now: () => now })
  const ruleset = { ...fakeRuleset(nft) }
  const firewall = new Firewall(ruleset)
  const tracker = new GrantTracker(new Marks(0xffff0000), () => now, new RecentGrants())
  const reconciler = new Reconciler(ruleset, tracker, noStandby)
  const event = (verb: string, kind: string, name: string, value?: string, timeout: number | null = 60) => {
    const elements = value === undefined ? [] : [{ value, timeout, expires: timeout }]
    reconciler.follow({ events: [{ verb, kind, family: 'inet', table: 'pkctl', name, elements }], by: '', lost: false })
  }
  const apply = nft.apply.bind(nft)
  // The monitor reports barriers at once.
  nft.apply = async commands => {
    await apply(commands)
    for (const [, name = ''] of JSON.stringify(commands).matchAll(/"name":"(sign-\d+)"/g))
      setImmediate(event, 'add', 'chain', name)
  }
  const packetPath = await packetPathFor(firewall)
  const { commands } = await firewall.install([ssh], packetPath)
  await reconciler.adopt(commands, new Map([[ssh.name, ssh]]), packetPath(new Map([[ssh.name, ssh]])))
  assert.ok(await reconciler.readGrants(() => true))
  /** The difference, without the second that is waited for it. */
  const compare = async () => {
    const timer = mock.method(globalThis, 'setTimeout', (work: () => void) => setImmediate(work))
    try {
      return await reconciler.grants.compare()
    } finally {
      timer.mock.restore()
    }
  }
  const sources = async () => (await nft.list()).sets.get(set)?.elements.map(({ value }) => value)
  const pass = (seconds: number) => (now += seconds)
  return { nft, kernel: apply, reconciler, tracker, event, compare, sources, pass }
}

const ofSources = (found: GrantDifferences | undefined) =>
  found && {
    missing: found.missing.map(({ source }) => source),
    unknown: found.unknown.map(({ source }) => source),
    changed: found.changed.map(({ source }) => source),
  }
const none = { missing: [], unknown: [], changed: [] }

describe('the grants of the kernel', () => {
  it('are those that are known, as time passes and grants end', async () => {
    const { kernel, event, compare, pass } = await bench()
    await kernel([addElements(set, [timed('192.0.2.1', 60), timed('192.0.2.2', 600), '192.0.2.3'])])
    event('add', 'element', set, '192.0.2.1', 60)
    event('add', 'element', set, '192.0.2.2', 600)
    event('add', 'element', set, '192.0.2.3', null)
    for (const seconds of [0, 30, 28, 1, 1, 1, 200]) {
      pass(seconds)
      assert.deepEqual(ofSources(await compare()), none)
    }
  })

  it('one that is missing is given again, for the time that is left; one that was revoked is not', async () => {
    const { kernel, event, compare, reconciler, sources, pass, nft } = await bench()
    await kernel([addElements(set, [timed('192.0.2.1', 60), timed('192.0.2.2', 60)])])
    for (const source of ['192.0.2.1', '192.0.2.2']) event('add', 'element', set, source)
    pass(20)
    await kernel([flushSet(set)])
    const found = await compare()
    assert.deepEqual(ofSources(found), { ...none, missing: ['192.0.2.1', '192.0.2.2'] })
    event('delete', 'element', set, '192.0.2.2')
    assert.equal(await reconciler.grants.giveAgain(found?.missing ?? []), 1)
    const [element] = (await nft.list()).sets.get(set)?.elements ?? []
    assert.deepEqual([await sources(), element?.timeout, element?.expires], [['192.0.2.1'], 60, 40])
    assert.deepEqual(ofSources(await compare()), none)
  })

  it('one that cannot be given again does not count as one that runs', async () => {
    const { nft, event, compare, reconciler } = await bench()
    event('add', 'element', set, '192.0.2.1')
    const found = await compare()
    const apply = nft.apply.bind(nft)
    nft.apply = commands =>
      JSON.stringify(commands).includes('192.0.2.1') ? Promise.reject(new Error('the set is full')) : apply(commands)
    assert.equal(await reconciler.grants.giveAgain(found?.missing ?? []), 0)
    assert.deepEqual(ofSources(await compare()), none)
  })

  it('one that is not known, or ends at another time, stays, and is known from then on', async () => {
    const { kernel, event, compare, tracker, sources } = await bench()
    await kernel([addElements(set, [timed('192.0.2.1', 600), timed('192.0.2.2', 60)])])
    event('add', 'element', set, '192.0.2.1', 60)
    const found = await compare()
    assert.deepEqual(ofSources(found), { ...none, unknown: ['192.0.2.2'], changed: ['192.0.2.1'] })
    for (const grant of [...(found?.unknown ?? []), ...(found?.changed ?? [])]) tracker.accept(grant)
    assert.deepEqual(ofSources(await compare()), none)
    assert.deepEqual(await sources(), ['192.0.2.1', '192.0.2.2'])
  })

  it('what is different only once is on its way', async () => {
    const { nft, kernel, event, compare } = await bench()
    event('add', 'element', set, '192.0.2.1')
    const list = nft.list.bind(nft)
    let listings = 0
    nft.list = async options => {
      const listing = await list(options)
      if (++listings === 1) await kernel([addElements(set, [timed('192.0.2.1', 60)])])
      return listing
    }
    assert.deepEqual(ofSources(await compare()), none)
    assert.equal(listings, 2)
  })

  it('are not judged while it is not known which run', async () => {
    const { kernel, compare, tracker } = await bench()
    await kernel([addElements(set, ['192.0.2.1'])])
    tracker.forgetAll()
    assert.equal(await compare(), undefined)
  })
})

describe('a transaction of pkctl', () => {
  it('is signed where it changes grants', () => {
    const isSigned = (...commands: Parameters<typeof signed>[0]) =>
      JSON.stringify(signed(commands)).includes('sign-own')
    assert.ok(isSigned(addElements(set, ['192.0.2.1'])))
    assert.ok(isSigned(deleteElements('pk-ssh-4', ['192.0.2.1'])))
    assert.ok(isSigned(flushSet('pk-ssh-6')))
    assert.ok(!isSigned(addElements('pending-4', ['192.0.2.1'])))
    assert.ok(!isSigned(flushSet('pk-ssh.allow-4')))
  })
})
