/**
 * Servers of a fleet that get one knock, which counts on one of them alone: real daemons, and a real engine. A port without a
 * program answers with a reset where the gate lets a connection through.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { clockTolerance } from '../../src/fleet/claim.js'
import { pkctl, root } from '../support/commands.js'
import type { FleetServer } from '../support/engine.js'
import { clientAddress, engineAddress, FleetSite, otherAddress, skipWithoutEngine } from '../support/engine.js'
import { FleetClient } from '../support/fleet-client.js'
import { knockPort } from '../support/knocks.js'

const rounds = 40
const skew = 10

const configOf = (server: FleetServer, engine = '') => {
  server.file('fleet.key', `0x${'7f'.repeat(32)}\n`)
  const common = `port: ${knockPort}, opens: [ssh], rate: none`
  return server.config(`services:
  ssh: { port: 22, window: 1 }
credentials:
  group: { type: pkd, tag: SSHK, key: test, ${common}, once: group }
  node: { type: pkd, tag: NODE, key: test, ${common} }
fleet: { url: "redis://${engineAddress}", group: edge, node: ${server.node}, key-file: fleet.key${engine} }`)
}

const decisionsIn = (output: string) =>
  output.split('\n').flatMap(line => {
    if (!line.startsWith('{') || !line.endsWith('}')) return []
    const { event, reason } = JSON.parse(line) as { readonly event?: string; readonly reason?: string }
    return event === 'knock-accepted' ? ['accepted'] : event === 'knock-refused' ? [reason ?? ''] : []
  })

describe('a knock of a group', { skip: skipWithoutEngine }, () => {
  let site: FleetSite
  let client: FleetClient

  before(async () => {
    site = await FleetSite.create(2)
    await site.engine.start()
    client = new FleetClient(site)
    await site.startAll(server => configOf(server))
  })
  after(async () => {
    client.stop()
    await site.remove()
  })

  /** Sends one knock to both servers, and gives what they made of it: `accepted`, or the reason for which they refused. */
  const knock = async (tag = 'SSHK', from = clientAddress) => {
    const starts = site.servers.map(server => server.daemon?.output.length ?? 0)
    await client.knock(site.servers, from, tag)
    const decisions = site.servers.map((server, i) => async () => {
      const made = () => decisionsIn(server.daemon?.output.slice(starts[i]) ?? '')
      await server.until('a decision', () => Promise.resolve(made().length === 1))
      return made()
    })
    return (await Promise.all(decisions.map(decision => decision()))).flat().sort()
  }

  it('is refused while the engine may have forgotten others, and those of a server are not', async () => {
    assert.deepEqual(await knock(), ['claimed', 'fleet-unsure'])
    assert.deepEqual(await knock('NODE', otherAddress), ['accepted', 'accepted'])
  })

  it('opens exactly one of the servers', async () => {
    // As if the engine had run for long enough: only a test has the time of this mark in its hand.
    const old = `${Date.now() - 2 * (skew * 1000 + 2 * clockTolerance)}`
    const run = await site.engine.cli('KEYS', 'pkctl:edge:claims:*')
    await site.engine.cli('SET', run, old)
    for (let round = 0; round < rounds; round++) {
      assert.deepEqual(await knock(), ['accepted', 'claimed'], `round ${round}`)
    }
    const keys = await site.engine.cli('KEYS', 'pkctl:edge:claim:*')
    assert.equal(keys.split('\n').length, rounds + 1)
    for (const key of keys.split('\n')) assert.match(key, /^pkctl:edge:claim:[\w-]{43}$/)
  })

  it('is refused with the reason while the engine is gone, and those of a server are not', async () => {
    await site.engine.kill()
    for (let round = 0; round < 3; round++) assert.deepEqual(await knock(), ['fleet-away', 'fleet-away'])
    assert.deepEqual(await knock('NODE', otherAddress), ['accepted', 'accepted'])
    const [server] = site.servers as [FleetServer]
    await server.says(/refused: the engine of the fleet cannot be asked whether another server has got it first/)
    assert.match(
      await server.mustCommand('fleet', 'status'),
      /\n {2}claims: \d+ first here, \d+ claimed elsewhere or before, 3 fleet-away.*, 0 waiting; median [\d.]+ ms, longest [\d.]+ ms\n[^]*warning: knocks with 'once: group' were refused: 3 because the engine could not be asked/,
    )
    const log = await server.on([process.execPath, pkctl, 'log', '--config', path.join(server.directory, 'pkctl.yaml')])
    assert.match(log.stdout, /fleet-away|the engine of the fleet cannot be asked/, log.stderr)
  })

  it('is refused after the engine has restarted empty', async () => {
    await site.engine.start()
    await Promise.all(site.servers.map(server => server.says(/connected to the engine[^]*connected to the engine/)))
    await site.servers[0]?.until('the engine is asked', async () => !(await knock()).includes('fleet-away'))
    assert.ok((await knock()).includes('fleet-unsure'))
  })

  it('is claimed by a user of the engine who may do no more than docs/fleet.md says', async () => {
    const text = fs.readFileSync(path.join(root, 'docs/fleet.md'), 'utf8')
    const rights = /^user pkctl on >PASSWORD (.*)$/m.exec(text)?.[1] ?? ''
    const more = /^With `once: group`, add `(.*)`\.$/m.exec(text)?.[1] ?? ''
    await site.engine.kill()
    await site.engine.start()
    await site.engine.cli('ACL', 'SETUSER', 'pkctl', 'reset', 'on', '>secret', ...`${rights} ${more}`.split(' '))
    await site.engine.cli('ACL', 'SETUSER', 'default', 'off')
    for (const server of site.servers) {
      await server.stop()
      server.file('word', 'secret\n')
      await server.start(configOf(server, ', user: pkctl, password-file: word'))
      await server.says(/connected to the engine/)
    }
    await site.servers[0]?.until('the engine is asked', async () => !(await knock()).includes('fleet-away'))
    assert.deepEqual(await knock(), ['claimed', 'fleet-unsure'])
    for (const server of site.servers) assert.doesNotMatch(server.daemon?.output ?? '', /are refused, because/)
  })
})
