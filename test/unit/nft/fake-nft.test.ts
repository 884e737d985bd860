/** The fake is only worth something as long as it refuses what the kernel refuses. */
import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { NftErrorKind } from '../../../src/nft/nft-errors.js'
import { NftError } from '../../../src/nft/nft-errors.js'
import type { Command, Json } from '../../../src/nft/nft-json.js'
import * as j from '../../../src/nft/nft-json.js'
import { FakeNft } from '../../support/fake-nft.js'

const to = (target: string) => j.goto(target)
const element = (key: number, chain: string) => [key, to(chain)] as Json

describe('FakeNft', () => {
  let now = 1000
  let nft = new FakeNft({ now: () => now })
  beforeEach(async () => {
    now = 1000
    nft = new FakeNft({ now: () => now })
    await nft.apply([
      j.addTable(),
      j.addChain('empty'),
      j.addChain('led-to'),
      j.addChain('mapped'),
      j.addChain('full'),
      j.addSet({ name: 'timed', type: 'ipv4_addr', flags: ['timeout'], size: 3 }),
      j.addSet({ name: 'plain', type: 'ipv4_addr' }),
      j.addSet({ name: 'prefixes', type: 'ipv4_addr', flags: ['interval'] }),
      j.addVerdictMap({ name: 'map', type: 'mark' }),
      j.addElements('map', [element(1, 'mapped')]),
      j.addElements('prefixes', [{ prefix: { addr: '10.0.0.0', len: 8 } }]),
      j.addRule('full', [j.inSet(j.source(4), 'plain'), to('led-to')]),
    ])
  })

  const refused: readonly (readonly [string, NftErrorKind, readonly Command[]])[] = [
    ['a rule in no chain', 'not-found', [j.addRule('none', [])]],
    ['a rule that leads nowhere', 'not-found', [j.addRule('empty', [to('none')])]],
    ['a rule of no set', 'not-found', [j.addRule('empty', [j.inSet(j.source(4), 'none')])]],
    ['a rule of no map', 'not-found', [j.addRule('empty', [j.vmap(j.meta('mark'), 'none')])]],
    ['a rule that updates no set', 'not-found', [j.addRule('empty', [j.updateSet('none', j.source(4), 5)])]],
    ['an element of no set', 'not-found', [j.addElements('none', ['192.0.2.1'])]],
    ['an element that leads nowhere', 'not-found', [j.addElements('map', [element(2, 'none')])]],
    ['an element that leads elsewhere', 'exists', [j.addElements('map', [element(1, 'empty')])]],
    ['an element too many', 'full', [j.addElements('timed', ['1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4'])]],
    ['a timeout in a set without', 'other', [j.addElements('plain', [{ elem: { val: '1.1.1.1', timeout: 5 } }])]],
    ['a prefix inside another', 'exists', [j.addElements('prefixes', [{ prefix: { addr: '10.1.0.0', len: 16 } }])]],
    ['deleting an element that is not there', 'not-found', [j.deleteElements('plain', ['192.0.2.1'])]],
    ['deleting a rule that is not there', 'not-found', [j.deleteRule('full', 99)]],
    ['deleting a chain that is not there', 'not-found', [j.deleteChain('none')]],
    ['deleting a chain that a rule leads to', 'busy', [j.deleteChain('led-to')]],
    ['deleting a chain that a map leads to', 'busy', [j.deleteChain('mapped')]],
    ['deleting a chain with rules', 'busy', [j.deleteChain('full')]],
    ['deleting a set that a rule refers to', 'busy', [j.deleteSet('plain')]],
    ['deleting a set that is a map', 'not-found', [j.deleteSet('map')]],
    ['deleting a set that is not there', 'not-found', [j.deleteSet('none')]],
    ['flushing what is not there', 'not-found', [j.flushSet('none')]],
    ['a set again, with another type', 'exists', [j.addSet({ name: 'plain', type: 'ipv6_addr' })]],
    ['anything behind the end of the table', 'not-found', [j.deleteTable(), j.addChain('x')]],
  ]
  for (const [name, kind, commands] of refused) {
    it(`refuses ${name}, and all that came with it`, async () => {
      const before = await nft.list()
      const batch = [j.addChain('new'), ...commands]
      for (const work of [() => nft.check(batch), () => nft.apply(batch)]) {
        await assert.rejects(work, error => error instanceof NftError && error.kind === kind)
        assert.deepEqual(await nft.list(), before)
      }
    })
  }

  const accepted: readonly (readonly [string, readonly Command[]])[] = [
    ['adding what is there', [j.addTable(), j.addChain('full'), j.addElements('map', [element(1, 'mapped')])]],
    ['deleting a chain when nothing leads to it any more', [j.flushChain('full'), j.deleteChain('led-to')]],
    [
      'deleting a chain when the element is gone',
      [j.deleteElements('map', [element(1, 'mapped')]), j.deleteChain('mapped')],
    ],
    ['deleting a chain when the map is gone', [j.deleteMap('map'), j.deleteChain('mapped')]],
    ['deleting a set when the rule is gone', [j.deleteRule('full', 1), j.deleteSet('plain')]],
    ['everything', [j.deleteTable()]],
  ]
  for (const [name, commands] of accepted) {
    it(`accepts ${name}`, async () => {
      const before = await nft.list()
      await nft.check(commands)
      assert.deepEqual(await nft.list(), before, 'a check changes nothing')
      await nft.apply(commands)
    })
  }

  it('lets elements expire, and adding one again does not restart its time', async () => {
    const add = (timeout: number) => nft.apply([j.addElements('timed', [{ elem: { val: '1.1.1.1', timeout } }])])
    const left = async () =>
      (await nft.listSet('set', 'timed')).sets.get('timed')?.elements.map(({ expires }) => expires)
    await add(60)
    now += 20
    assert.deepEqual(await left(), [40])
    await add(60)
    assert.deepEqual(await left(), [40])
    now += 39.5
    assert.deepEqual(await left(), [0])
    now += 0.5
    assert.deepEqual(await left(), [])
    await assert.rejects(nft.apply([j.deleteElements('timed', ['1.1.1.1'])]))
    await add(60)
    assert.deepEqual(await left(), [60])
    await nft.apply([
      j.flushSet('timed'),
      j.addElements('timed', [{ elem: { val: '1.1.1.1', timeout: 60, expires: 5 } }]),
    ])
    assert.deepEqual(await left(), [5])
  })

  it('leaves elements out of a terse listing, and shows one set with them', async () => {
    const terse = await nft.list({ elements: false })
    assert.deepEqual([terse.maps.get('map')?.elements, terse.sets.get('prefixes')?.elements], [[], []])
    assert.deepEqual((await nft.listSet('map', 'map')).maps.get('map')?.elements, [{ value: 1, target: 'mapped' }])
    assert.equal((await nft.listSet('set', 'map')).sets.size, 0)
    assert.equal((await nft.listSet('set', 'none')).present, false)
  })

  it('gets one element of a set, and nothing where there is none', async () => {
    await nft.apply([
      j.addElements('plain', ['192.0.2.1', '192.0.2.2']),
      j.addElements('timed', [{ elem: { val: '192.0.2.1', timeout: 60 } }]),
    ])
    assert.deepEqual(await nft.getElement('plain', '192.0.2.2'), { value: '192.0.2.2' })
    now += 20
    assert.deepEqual(await nft.getElement('timed', '192.0.2.1'), { value: '192.0.2.1', timeout: 60, expires: 40 })
    now += 40
    for (const [set, value] of [
      ['timed', '192.0.2.1'],
      ['plain', '192.0.2.3'],
      ['none', '192.0.2.1'],
      ['map', '1'],
    ] as const) {
      assert.equal(await nft.getElement(set, value), undefined, `${value} of ${set}`)
    }
  })

  it('has no business with other tables', async () => {
    await assert.rejects(nft.apply([{ add: { table: { family: 'inet', name: 'other' } } }]), /no business/)
  })
})
