/** Another program loads a big list, as country blocks are, and flushes the ruleset with it. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { bigList } from '../support/big-list.js'
import { slowness, until } from '../support/commands.js'
import { client4, server4, stranger4 } from '../support/lab.js'
import { ReconcileSite } from '../support/reconcile-site.js'

/** On a slow machine as long a list takes nft longer than pkctl waits for it. */
const prefixes = Math.round(60_000 / slowness ** 2)
/** Far longer than it takes on a machine with nothing else to do. */
const mostOpenMilliseconds = 5000 * slowness

describe('reconciling, beside big lists', () => {
  let site: ReconcileSite
  let file: string
  beforeEach(async () => {
    site = await ReconcileSite.create()
    file = site.lab.file('nftables.conf', bigList(prefixes))
    await site.nft('-f', file)
    await site.restored(1)
  })
  afterEach(() => site.lab.remove())

  it('closes ports before the list is read', async t => {
    await site.knock(server4, client4)
    await site.lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '1h')
    await site.openTo(server4, client4)
    const said = site.daemon.output.length
    const trial = site.lab.peer({ hammer: { host: server4, port: 22, from: stranger4, milliseconds: 5000 * slowness } })
    await site.nft('-f', file)
    await site.restored(2)
    const [{ opened } = {}] = await trial
    const granted = /with (\d+) grants|message":"(\d+) grants? restored/g
    const open = opened === undefined ? 0 : opened.last - opened.first
    // From this repair on: what an earlier one still restores may come before.
    const log = () => /[^\n]*restored \d+ ms after pkctld noticed[^]*/.exec(site.daemon.output.slice(said))?.[0] ?? ''
    const grants = () =>
      [...log().matchAll(granted)].reduce((sum, [, at = 0, later = 0]) => sum + Number(at) + Number(later), 0)
    // They come back when all of the list has been read.
    await until(() => grants() >= 2).catch(() => undefined)
    const [, logged] = /at most (\d+) ms after the change/.exec(log()) ?? []
    t.diagnostic(`a stranger came in for ${Math.round(open)} ms, ${opened?.times ?? 0} times; logged: ${logged} ms`)
    assert.ok(open < mostOpenMilliseconds, `${open} ms`)
    assert.ok(Number(logged) >= open - 20, `${open} ms open, and logged ${logged}`)
    assert.equal(grants(), 2, site.daemon.output)
    await site.openTo(server4, client4)
    await site.closedTo(server4, stranger4)
    await until(async () => Object.keys(await site.left(client4)).length === 2)
  })

  it('sees the next flush while it still reads what the one before loaded', async () => {
    for (let i = 0; i < 2; i++) {
      await site.nft('-f', file)
      await site.nft('flush', 'ruleset')
      const start = performance.now()
      await until(async () => (await site.nft('-t', 'list', 'ruleset', 'inet')).includes('chain pk-ssh'))
      assert.ok(performance.now() - start < mostOpenMilliseconds)
    }
    await site.closedTo(server4, stranger4)
  })
})
