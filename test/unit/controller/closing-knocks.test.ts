/** Which grants a knock takes back: those that knocks have made. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import { ClosingKnocks } from '../../../src/controller/grants/closing-knocks.js'
import type { KnockGrant } from '../../../src/controller/grants/knock-grant-store.js'
import { KnockGrantStore } from '../../../src/controller/grants/knock-grant-store.js'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-closing-'))
after(() => fs.rmSync(directory, { recursive: true }))
let stores = 0

function bench(...noted: Partial<KnockGrant>[]) {
  const parts = { boot: 'one', now: () => 1000, report: (line: string) => assert.equal(line, '') }
  const place = path.join(directory, String(++stores))
  const store = KnockGrantStore.open(place, parts)
  const note = (grant: Partial<KnockGrant>) => {
    store.note({
      ...{ credential: 'staff', service: 'ssh', by: 'knock', address: '192.0.2.1', user: null, key: null },
      ...{ authority: null, until: 1060 },
      ...grant,
    })
  }
  noted.forEach(note)
  const asked: string[] = []
  const firewall = {
    closeGrant: (
      service: string,
      _: 4 | 6,
      address: string,
      secondsByKnock: (source: string) => number | undefined,
      isOpenedAgain?: (prefix: string) => boolean,
    ) => {
      if (service === 'broken') return Promise.reject(new Error('no lock'))
      const source = address.includes(':') ? '2001:db8::/64' : address
      asked.push(`${service} ${source} ${secondsByKnock(source)}${isOpenedAgain?.(source) ? ' again' : ''}`)
      return Promise.resolve({ leavesByCommand: service === 'added' } as never)
    },
  }
  const known = (from = store) => from.running().map(({ service, by, address }) => `${service} ${by} ${address}`)
  const reopened = () => known(KnockGrantStore.open(place, parts))
  return { asked, known, reopened, note, closings: new ClosingKnocks({ store, firewall, now: () => 1000 }) }
}

describe('a knock that closes', () => {
  it('takes back the grants by hand that a knock has made, as long as they are no longer than its own', async () => {
    const { asked, known, reopened, closings } = bench({}, { by: 'hand', service: 'web', until: 1030 })
    assert.equal(await closings.begin('staff', '192.0.2.1')(['ssh', 'web', 'other']), true)
    assert.deepEqual(asked, ['ssh 192.0.2.1 undefined', 'web 192.0.2.1 33', 'other 192.0.2.1 undefined'])
    assert.deepEqual([known(), reopened()], [[], []])
  })

  it('says whether something of its credential runs on', async () => {
    const { known, closings } = bench({}, { service: 'web' }, { credential: 'phone', service: 'db' })
    assert.equal(await closings.begin('staff', '192.0.2.1')(['web']), false)
    assert.deepEqual(known(), ['ssh knock 192.0.2.1', 'db knock 192.0.2.1'])
    assert.equal(await closings.begin('staff', '192.0.2.1')(['ssh']), true)
  })

  it('takes back what others of its prefix have got with it', async () => {
    const { asked, known, closings } = bench({ by: 'hand', address: '2001:db8::7' }, { address: '2001:db9::1' })
    assert.equal(await closings.begin('staff', '2001:db8::1')(['ssh']), true)
    assert.deepEqual([asked, known()], [['ssh 2001:db8::/64 63'], ['ssh knock 2001:db9::1']])
  })

  it('takes nothing back that is granted after it', async () => {
    const { known, note, closings } = bench({})
    const close = closings.begin('staff', '192.0.2.1')
    note({ until: 1090 })
    assert.equal(await close(['ssh']), true)
    assert.deepEqual(known(), ['ssh knock 192.0.2.1'])
  })

  for (const [what, until] of [
    ['for longer', 1090],
    ['a moment later', 1060.5],
    ['without a time limit, as before', Infinity],
  ] as const) {
    it(`leaves to the kernel what was granted after it, ${what}`, async () => {
      const { asked, known, note, closings } = bench({ until: until === Infinity ? until : 1060 })
      const close = closings.begin('staff', '192.0.2.1')
      note({ until })
      await close(['ssh', 'web'])
      assert.deepEqual(asked, ['ssh 192.0.2.1 undefined again', 'web 192.0.2.1 undefined'])
      assert.deepEqual(known(), ['ssh knock 192.0.2.1'])
    })
  }

  it('forgets no grant by hand that is in the grant of a command, which stays', async () => {
    const { known, closings } = bench({ service: 'added' }, { service: 'added', by: 'hand' })
    assert.equal(await closings.begin('staff', '192.0.2.1')(['added']), true)
    assert.deepEqual(known(), ['added hand 192.0.2.1'])
  })

  it('forgets nothing that another key was granted after it, also on disk', async () => {
    const { known, reopened, note, closings } = bench({ key: 'SHA256:alice' })
    const close = closings.begin('staff', '192.0.2.1')
    note({ key: 'SHA256:bob' })
    await close(['ssh'])
    assert.deepEqual([known(), reopened()], [['ssh knock 192.0.2.1'], ['ssh knock 192.0.2.1']])
  })

  it('that fails says which services are done, and has forgotten what they had', async () => {
    const { known, closings } = bench({}, { service: 'broken' })
    const done: string[] = []
    const closed = closings.begin('staff', '192.0.2.1')(['ssh', 'broken'], service => done.push(service))
    await assert.rejects(closed, /no lock/)
    assert.deepEqual([done, known()], [['ssh'], ['broken knock 192.0.2.1']])
  })
})
