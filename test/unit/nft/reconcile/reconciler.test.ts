import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { maskAddress } from '../../../../src/net/addresses.js'
import { addTable, deleteTable } from '../../../../src/nft/json.js'
import { Firewall } from '../../../../src/nft/reconcile/firewall.js'
import { GrantTracker } from '../../../../src/nft/reconcile/grant-tracker.js'
import { RecentGrants } from '../../../../src/nft/reconcile/recent-grants.js'
import { Reconciler } from '../../../../src/nft/reconcile/reconciler.js'
import { Marks } from '../../../../src/nft/table/marks.js'
import { FakeNft, FakeXtQueue } from '../../../support/fake-nft.js'
import { packetPathFor, ssh } from '../../../support/firewall-tools.js'

const set = 'pk-ssh.add-4'

/** A firewall that was installed, and a book that knows its grants. */
async function bench() {
  let now = 1000
  const nft = new FakeNft({ now: () => now })
  const apply = nft.apply.bind(nft)
  const mask = (address: string, _: number, prefix: number) => maskAddress(address, prefix)
  const firewall = new Firewall(nft, new FakeXtQueue(), mask)
  const book = new GrantTracker(new Marks(0xffff0000), mask, () => now, new RecentGrants())
  const reconciler = new Reconciler(firewall, book)
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
  // The watch tells of signs at once.
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
  assert.ok(await reconciler.learnGrants(() => true))
  const pass = (seconds: number) => (now += seconds)
  return { nft, reconciler, book, tell, pass, mend: () => reconciler.reconcile(packetPath, false) }
}

const addresses = (second: number, count: number) =>
  Array.from({ length: count }, (_, i) => `10.${second}.${i >> 8}.${i & 255}`)

describe('Mender', () => {
  it('wakes a table that nft cannot list for its flags', async () => {
    const { nft, mend } = await bench()
    const [apply, list] = [nft.apply.bind(nft), nft.list.bind(nft)]
    let sleeps = true
    nft.list = options => (sleeps ? Promise.reject(new SyntaxError('Unexpected end of JSON input')) : list(options))
    nft.apply = commands => {
      if (JSON.stringify(commands) === JSON.stringify([addTable()])) sleeps = false
      return apply(commands)
    }
    assert.deepEqual(await mend(), { damages: ['the table sleeps'], restored: 0 })
    assert.equal((await list()).flagged, false)
  })

  it('gives up on a list that stays unreadable', async () => {
    const { nft, mend } = await bench()
    nft.list = () => Promise.reject(new SyntaxError('Unexpected end of JSON input'))
    await assert.rejects(mend(), SyntaxError)
  })

  it('grants that end while others are put back keep none of these out', async () => {
    const { nft, tell, pass, mend } = await bench()
    const ending = addresses(1, 300).map(value => ({ value, timeout: 3 }))
    tell('add', 'element', set, [...ending, ...addresses(2, 6000).map(value => ({ value, timeout: null }))])
    await nft.apply([deleteTable()])
    const apply = nft.apply.bind(nft)
    nft.apply = async commands => {
      await apply(commands)
      if (JSON.stringify(commands).includes('10.2.0.0')) pass(4)
    }
    const { restored } = await mend()
    const there = (await nft.list()).sets.get(set)?.elements.map(({ value }) => JSON.stringify(value)) ?? []
    assert.equal(there.filter(value => value.startsWith('"10.2.')).length, 6000)
    assert.equal(restored, 6300)
  })

  it('a learning that no longer matters changes nothing', async () => {
    const { reconciler, book, tell, mend, nft } = await bench()
    tell('add', 'element', set, [{ value: '192.0.2.1', timeout: null }])
    book.forgetAll()
    assert.equal(await reconciler.learnGrants(() => false), false)
    await nft.apply([deleteTable()])
    assert.equal((await mend()).restored, 0, 'it is not known that the grant runs')
  })
})
