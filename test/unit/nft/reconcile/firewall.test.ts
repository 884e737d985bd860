import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { NftError } from '../../../../src/nft/nft-errors.js'
import { addElements } from '../../../../src/nft/nft-json.js'
import { Firewall } from '../../../../src/nft/reconcile/firewall.js'
import { FakeIptablesQueue, FakeNft, fakeRuleset } from '../../../support/fake-nft.js'
import { firewallCases } from '../../../support/firewall-cases.js'
import { counting, packetPathFor, service, ssh, web } from '../../../support/firewall-tools.js'

function bench({ queueStatement = true } = {}) {
  const nft = new FakeNft({ queueStatement })
  const iptablesQueue = new FakeIptablesQueue()
  return { nft, iptablesQueue, firewall: new Firewall({ ...fakeRuleset(nft), iptablesQueue }) }
}

describe('Firewall, on the fake', () => {
  for (const { name, run } of firewallCases) {
    it(name, () => {
      const { firewall, nft } = bench()
      return run(firewall, nft)
    })
  }
})

describe("Firewall and the way to the queue that is not nft's", () => {
  let parts = bench()
  beforeEach(() => (parts = bench()))

  it('is taken away where nft has its own statement', async () => {
    const { firewall, iptablesQueue } = parts
    await firewall.install([ssh], await packetPathFor(firewall))
    assert.deepEqual(iptablesQueue.calls, ['remove'])
  })

  it('is made where nft has none, and taken away after the packet path', async () => {
    const { firewall, iptablesQueue } = bench({ queueStatement: false })
    await firewall.install([ssh], await packetPathFor(firewall, { hook: 'prerouting' }))
    assert.deepEqual(iptablesQueue.calls, ['install prerouting 0x10000 62'])
    await firewall.uninstall()
    assert.deepEqual(iptablesQueue.calls.slice(1), ['remove'])
  })

  it('is left alone when the rest would be refused', async () => {
    const { firewall, iptablesQueue } = bench({ queueStatement: false })
    const packetPath = await packetPathFor(firewall)
    await assert.rejects(
      firewall.install([ssh], services => ({ ...packetPath(services), native: true })),
      NftError,
    )
    assert.deepEqual(iptablesQueue.calls, [])
  })

  for (const there of [false, true]) {
    it(`${there ? 'stays' : 'goes again'} when the rest fails after all, and there was ${there ? 'a' : 'no'} packet path before`, async () => {
      const { nft, firewall, iptablesQueue } = bench({ queueStatement: false })
      const packetPath = await packetPathFor(firewall)
      if (there) await firewall.install([ssh], packetPath)
      const failing = counting(nft).nft
      failing.apply = () => Promise.reject(new NftError('other', 'nft', 'no'))
      const before = iptablesQueue.calls.length
      await assert.rejects(new Firewall({ ...firewall.access, nft: failing }).install([ssh], packetPath), NftError)
      assert.deepEqual(iptablesQueue.calls.slice(before), ['install input 0x10000 62', ...(there ? [] : ['remove'])])
    })
  }

  it('may lack its tool where it is not needed', async () => {
    const { nft } = parts
    const missing = () =>
      Promise.reject(new NftError('missing-tool', 'iptables-nft', 'there is no iptables-nft program'))
    const without = new Firewall({ ...fakeRuleset(nft), iptablesQueue: { install: missing, remove: missing } })
    const packetPath = await packetPathFor(without)
    await without.install([ssh], packetPath)
    await without.uninstall()
    await assert.rejects(
      without.install([ssh], services => ({ ...packetPath(services), native: false })),
      (error: unknown) => error instanceof NftError && error.kind === 'missing-tool',
    )
  })

  it('is found out by a probe, which changes nothing', async () => {
    for (const queueStatement of [true, false]) {
      const { firewall, nft } = bench({ queueStatement })
      assert.deepEqual(await firewall.probe('input'), { nativeQueue: queueStatement })
      assert.equal((await nft.list()).present, false)
      assert.deepEqual(nft.applied, [])
    }
  })

  it('is not guessed at when nft cannot be used at all', async () => {
    const refuse = () => Promise.reject(new NftError('permission', 'nft', 'Operation not permitted'))
    const nft = { check: refuse, apply: refuse, list: refuse, listSet: refuse, getElement: refuse }
    await assert.rejects(
      new Firewall(fakeRuleset(nft)).probe('input'),
      (error: unknown) => error instanceof NftError && error.kind === 'permission',
    )
  })
})

describe('Firewall', () => {
  it('makes one transaction of one change', async () => {
    const { firewall, nft } = bench()
    const counts: number[] = []
    for (const work of [
      () => firewall.ensureServices([ssh, { ...ssh, name: 'web', ports: [{ first: 80, last: 80 }] }]),
      () => firewall.ensureServices([ssh]),
      () => firewall.addGrant('ssh', 4, '192.0.2.1', 500),
      () => firewall.addGrant('ssh', 4, '192.0.2.1', 400),
      () => firewall.ensureServices([{ ...ssh, prefix4: 24 }]),
      () => firewall.deleteGrant('ssh', 4, '192.0.2.1'),
      () => firewall.removeService('ssh'),
      async () => firewall.install([ssh], await packetPathFor(firewall)),
      async () => firewall.install([service('shell')], await packetPathFor(firewall)),
      () => firewall.quiesce(),
      () => firewall.uninstall(),
    ]) {
      const before = nft.applied.length
      await work()
      counts.push(nft.applied.length - before)
    }
    assert.deepEqual(counts, [1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
  })

  it('reads no set, and changes none, to know whether a source has a grant', async () => {
    const { nft } = bench()
    const reads: string[] = []
    const { nft: counted } = counting(nft)
    counted.getElement = (set, value) => (reads.push(`${set} ${value}`), nft.getElement(set, value))
    const firewall = new Firewall(fakeRuleset(counted))
    await firewall.ensureServices([ssh, { ...web, singleUse: true }])
    await nft.apply([addElements('pk-ssh-4', [{ elem: { val: '192.0.2.1', timeout: 60 } }])])
    const before = nft.applied.length
    const found = []
    for (const spec of [ssh, { ...web, singleUse: true }])
      for (const address of ['192.0.2.1', '192.0.2.2']) found.push(await firewall.grantByKnock(spec, 4, address))
    assert.deepEqual(found, [{ set: 'pk-ssh-4', source: '192.0.2.1' }, undefined, undefined, undefined])
    assert.equal(nft.applied.length, before)
    await firewall.addGrant('ssh', 4, '192.0.2.3', 500)
    await firewall.deleteGrant('ssh', 4, '192.0.2.3')
    await firewall.deleteGrant('ssh', 4, '192.0.2.4')
    assert.deepEqual(reads, [])
    await firewall.addGrant('ssh', 4, '192.0.2.1', 500)
    assert.deepEqual(reads, ['pk-ssh-4 192.0.2.1'], 'how long an earlier one runs')
  })
})
