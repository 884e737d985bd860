/**
 * Servers that share grants through a real engine: each with a daemon in a network namespace, one client that knocks at one of
 * them. A port without a program answers with a reset where the gate lets a connection through.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { encodeMessage } from '../../src/fleet/message.js'
import { root, sleep } from '../support/commands.js'
import type { FleetServer } from '../support/engine.js'
import { clientAddress, engineAddress, FleetSite, otherAddress, skipWithoutEngine } from '../support/engine.js'
import { FleetClient } from '../support/fleet-client.js'
import { knockPort } from '../support/knocks.js'

const key = `0x${'7f'.repeat(32)}`
const group = { name: 'edge', key: Buffer.alloc(32, 0x7f) }
const stream = 'pkctl:edge:events'

const configOf = (server: FleetServer, fleet = 'share: [ssh], accept: [ssh]', window = 60, prefix = 32) => {
  server.file('fleet.key', `${key}\n`)
  return server.config(`services:
  ssh: { port: 22, window: ${window}, prefix4: ${prefix} }
  web: { port: 80, window: 60 }
credentials:
  laptop: { type: pkd, tag: SSHK, key: test, port: ${knockPort}, opens: [ssh, web], rate: none }
  shut: { type: pkd, tag: SHUT, key: test, port: ${knockPort}, closes: [ssh], rate: none }
metrics: { textfile: ${server.directory}/pkctl.prom, interval: 1 }
fleet: { url: "redis://${engineAddress}", group: edge, node: ${server.node}, key-file: fleet.key, ${fleet} }`)
}

describe('a fleet', { skip: skipWithoutEngine }, () => {
  let site: FleetSite
  let client: FleetClient

  before(async () => {
    site = await FleetSite.create(3)
    await site.engine.start()
    client = new FleetClient(site)
    await site.startAll(server => configOf(server))
  })
  after(async () => {
    client.stop()
    await site.remove()
  })

  const server = (i: number) => site.servers[i] as FleetServer
  const opens = (i: number, from = clientAddress, port = 22) => client.opens(server(i), from, port)
  const knock = (i: number, from = clientAddress, tag = 'SSHK') => client.knock(server(i), from, tag)
  const opensSoon = (i: number, from = clientAddress) => client.opensSoon(server(i), from)
  const closesSoon = (i: number, from = clientAddress) => client.closesSoon(server(i), from)
  const kept = () => {
    const file = path.join(server(0).directory, 'state/fleet-outbox')
    return fs.existsSync(file) ? fs.readFileSync(file, 'latin1') : ''
  }
  const change = (i: number, ...args: string[]) => server(i).mustCommand(...args)
  const deleteAll = async (from = clientAddress) => {
    await change(0, 'add', from, '--service', 'ssh', '--for', '60')
    await change(0, 'delete', from, '--service', 'ssh')
    for (const i of [0, 1, 2]) await closesSoon(i, from)
  }

  it('opens all servers for who knocks at one, and only what is shared', async () => {
    for (const i of [0, 1, 2]) assert.equal(await opens(i), false)
    await knock(0)
    for (const i of [0, 1, 2]) await opensSoon(i)
    assert.equal(await opens(0, clientAddress, 80), true)
    for (const i of [1, 2]) assert.equal(await opens(i, clientAddress, 80), false)
    for (const i of [0, 1, 2]) assert.equal(await opens(i, otherAddress), false)
    const list = await change(1, 'list', 'ssh')
    assert.match(list, /granted: 10\.78\.0\.2 {2}\d+ s left {2}by hand {2}\S+ fleet:node-0/)
    // Not told back, and not granted again where the knock was.
    assert.doesNotMatch(await change(0, 'list', 'ssh'), /fleet:/)
    await deleteAll()
  })

  it('closes all for who closes at another one than that of the knock', async () => {
    await knock(0)
    for (const i of [0, 1, 2]) await opensSoon(i)
    await knock(1, clientAddress, 'SHUT')
    for (const i of [0, 1, 2]) await closesSoon(i)
    // And opens again.
    await knock(2)
    for (const i of [0, 1, 2]) await opensSoon(i)
    await deleteAll()
  })

  it('shares what commands grant and revoke', async () => {
    await change(1, 'add', otherAddress, '--service', 'ssh', '--for', '60')
    for (const i of [0, 1, 2]) await opensSoon(i, otherAddress)
    // A knock that closes takes back only what knocks have given.
    await knock(2, otherAddress, 'SHUT')
    await sleep(500)
    for (const i of [0, 1, 2]) assert.equal(await opens(i, otherAddress), true)
    await change(2, 'delete', otherAddress, '--service', 'ssh')
    for (const i of [0, 1, 2]) await closesSoon(i, otherAddress)
  })

  it('opens here while the engine is away, and tells the others when it is back, empty', async () => {
    await knock(0, otherAddress)
    for (const i of [0, 1, 2]) await opensSoon(i, otherAddress)
    await site.engine.kill()
    await server(0).says(/the engine of the fleet is away/)
    await knock(0)
    await opensSoon(0)
    assert.equal(await opens(1), false)
    await change(1, 'delete', otherAddress, '--service', 'ssh')
    assert.equal(await opens(0, otherAddress), true)
    await site.engine.start()
    for (const i of [0, 1, 2]) await opensSoon(i)
    for (const i of [0, 1, 2]) await closesSoon(i, otherAddress)
    await deleteAll()
  })

  it('tells one that was away, and one that starts, what counts now', async () => {
    await knock(0)
    await opensSoon(1)
    await server(2).stop('SIGKILL')
    await change(0, 'delete', clientAddress, '--service', 'ssh')
    await knock(0, otherAddress)
    await closesSoon(1)
    await server(2).start(configOf(server(2)))
    await closesSoon(2)
    await opensSoon(2, otherAddress)
    await deleteAll(otherAddress)
  })

  it('tells what was revoked while the engine was away, also when pkctld has ended meanwhile', async () => {
    await knock(0)
    for (const i of [0, 1, 2]) await opensSoon(i)
    await site.engine.kill()
    await change(0, 'delete', clientAddress, '--service', 'ssh')
    await knock(0, otherAddress)
    await server(0).until('kept on disk', () => Promise.resolve(kept().split('\n').length === 3))
    await server(0).stop('SIGKILL')
    assert.equal(await opens(1), true)
    await server(0).start(configOf(server(0)))
    await site.engine.start()
    for (const i of [1, 2]) {
      await closesSoon(i)
      await opensSoon(i, otherAddress)
    }
    await server(0).until('nothing is kept', () => Promise.resolve(kept() === ''))
    await deleteAll(otherAddress)
  })

  it('believes no one without the key, and no old messages', async () => {
    const now = Date.now()
    const sent = { node: 'node-9', epoch: now, sequence: 1, made: now }
    const grant = { ...sent, kind: 'grant', by: 'hand', service: 'ssh', source: otherAddress } as const
    const put = (text: string) => site.engine.cli('xadd', stream, '*', 'm', text)
    await put(encodeMessage({ ...grant, until: now + 60_000 }, { ...group, key: Buffer.alloc(32) }))
    await put(encodeMessage({ ...grant, until: now + 60_000 }, { ...group, name: 'other' }))
    await put(encodeMessage({ ...grant, until: now + 90_000_000 }, group))
    await put(encodeMessage({ ...grant, service: 'web', until: now + 60_000 }, group))
    await put(encodeMessage({ ...grant, made: now - 7_200_000, until: now - 1 }, group))
    await put('rubbish')
    // A grant that was sent, and then revoked, sent again by someone else.
    await knock(0)
    for (const i of [0, 1, 2]) await opensSoon(i)
    const entries = (await site.engine.cli('xrange', stream, '-', '+'))
      .split('\n')
      .filter(line => line.startsWith('UEtG'))
    await deleteAll()
    for (const text of entries) await put(text)
    await sleep(1000)
    for (const i of [1, 2]) {
      for (const from of [clientAddress, otherAddress]) assert.equal(await opens(i, from), false)
      assert.equal(await opens(i, otherAddress, 80), false)
    }
    for (const reason of ['foreign', 'group', 'overlong', 'malformed'])
      await server(1).says(new RegExp(`was refused: ${reason}`))
  })

  it('shows the other servers, what they share, and what is wrong', async () => {
    await knock(0)
    await opensSoon(1)
    const shown = await change(1, 'fleet', 'status')
    assert.match(shown, /^fleet edge, as node-1\n {2}engine: connected, for /)
    for (const node of ['node-0', 'node-2'])
      assert.match(shown, new RegExp(`\\n  ${node}: heard \\d+ s ago, lag \\d+ ms, clock -?0\\.\\d+ s, .*shares ssh`))
    assert.match(
      shown,
      /warning: \d+ messages in the engine of the fleet were refused, because they were made with another key/,
    )
    const line = /^10\.78\.0\.2 {2}ssh {2}\d+ s left, until \d{4}-\d\d-\d\dT[\d:]{8}Z {2}by knock at node-0$/m
    assert.match(await change(1, 'list', '--fleet'), line)
    assert.match(await change(1, 'list', 'ssh', '--fleet'), line)
    assert.equal(await change(1, 'list', 'web', '--fleet'), 'no grants for web in the fleet edge\n')
    const listed = JSON.parse(await change(1, 'list', '--fleet', '--json')) as {
      grants: [{ secondsLeft: number; until: string }]
    }
    const [{ secondsLeft, until, ...rest }, ...more] = listed.grants
    assert.deepEqual([rest, more], [{ service: 'ssh', source: clientAddress, by: 'knock', node: 'node-0' }, []])
    assert.ok(Math.abs(Date.parse(until) - Date.now() - secondsLeft * 1000) < 5000, until)
    assert.match(
      await change(0, 'status'),
      /\n {2}fleet edge, as node-0: connected; [23] other servers, 0 grants of theirs\n/,
    )
    const { status } = JSON.parse(await change(2, 'fleet', 'status', '--json').then(text => `{"status":${text}}`)) as {
      status: { nodes: { node: string; missing: number }[]; foreignGrants: number }
    }
    assert.deepEqual(
      [status.nodes.flatMap(({ node, missing }) => (node === 'node-9' ? [] : [[node, missing]])), status.foreignGrants],
      [[['node-0', 0], ['node-1', 0]], 1], // prettier-ignore
    )
    const text = fs.readFileSync(path.join(root, 'docs/monitoring.md'), 'utf8')
    const documented = [...text.matchAll(/^\| `(pkctl_fleet_\w+)`/gm)].map(([, name]) => name)
    const metrics = fs.readFileSync(path.join(server(1).directory, 'pkctl.prom'), 'utf8')
    const written = new Set([...metrics.matchAll(/^(pkctl_fleet_\w+)[ {]/gm)].map(([, name]) => name))
    assert.deepEqual([...written].sort(), documented.sort())
    assert.match(metrics, /^pkctl_fleet_connected 1$/m)
    await deleteAll()
  })

  it('changes all servers by a command with --fleet, also of a service that is not shared', async () => {
    await server(1).stop()
    await server(1).start(configOf(server(1), 'share: [ssh], accept: [ssh, web]'))
    await server(1).says(/connected to the engine/)
    const web = async (i: number, isOpen: boolean) =>
      server(i).until(`web is open: ${isOpen}`, async () => (await opens(i, otherAddress, 80)) === isOpen)
    assert.match(
      await change(0, 'add', otherAddress, '--service', 'web', '--for', '60', '--fleet'),
      /^10\.78\.0\.3 may use web for 60 s; the fleet edge was told\n$/,
    )
    for (const i of [0, 1]) await web(i, true)
    assert.equal(await opens(2, otherAddress, 80), false)
    // Also where the command has nothing to do here.
    const deleted = await change(2, 'delete', otherAddress, '--service', 'web', '--fleet', '--json')
    assert.deepEqual(JSON.parse(deleted), {
      ...{ jsonVersion: 1, changed: true, details: [], service: 'web', address: otherAddress },
      fleet: { group: 'edge', told: true, because: '' },
    })
    await web(1, false)
    // What was told is taken back without the option, too.
    await change(0, 'add', otherAddress, '--service', 'web', '--for', '60', '--fleet')
    await web(1, true)
    await change(0, 'delete', otherAddress, '--service', 'web')
    await web(1, false)
    assert.match((await server(0).command('add', 'fe80::7', '--service', 'web', '--fleet')).stderr, /link-local/)
  })

  it('says in one line what --fleet could not do, and fails', async () => {
    await site.engine.kill()
    await server(0).until('no engine', async () => (await change(0, 'fleet', 'status')).includes('engine: away'))
    const add = ['add', otherAddress, '--service', 'ssh', '--for', '60', '--fleet']
    const away = await server(0).command(...add)
    assert.equal(away.status, 1)
    assert.equal(away.stdout, '10.78.0.3 may use ssh for 60 s\n')
    assert.match(
      away.stderr,
      /^pkctl: error: this is so here alone, and the other servers hear of it later: [^\n]*away[^\n]*\n$/,
    )
    assert.equal(await opens(1, otherAddress), false)
    assert.match((await server(0).command('list', '--fleet')).stderr, /away: this is what was known before/)
    await site.engine.start()
    await opensSoon(1, otherAddress)
    await deleteAll(otherAddress)
    await server(2).stop()
    for (const args of [add, ['list', '--fleet']]) {
      const { status, stdout, stderr } = await server(2).command(...args)
      assert.deepEqual([status, stdout], [1, ''])
      assert.match(stderr, /^pkctl: error: pkctld is not running/)
    }
    await server(2).start(configOf(server(2)))
    await server(2).says(/connected to the engine/)
  })

  it('goes on with a hanging engine', async () => {
    site.engine.signal('SIGSTOP')
    await knock(0)
    await opensSoon(0)
    site.engine.signal('SIGCONT')
    for (const i of [1, 2]) await opensSoon(i)
    await deleteAll()
  })

  it('goes on with a full engine', async () => {
    await site.engine.cli('config', 'set', 'maxmemory', '1')
    await server(0).says(/engine of the fleet is away.*OOM/)
    await knock(0)
    await opensSoon(0)
    await site.engine.cli('config', 'set', 'maxmemory', '0')
    for (const i of [1, 2]) await opensSoon(i)
    await deleteAll()
  })

  it('shares what a service grants after a reload', async () => {
    for (const i of [0, 1, 2]) {
      configOf(server(i), undefined, 60, 24)
      await change(i, 'reload')
    }
    await knock(0)
    for (const i of [0, 1, 2]) await opensSoon(i, otherAddress)
    assert.match(await change(2, 'list', '--fleet'), /^10\.78\.0\.0\/24 {2}ssh /)
    await change(0, 'delete', '10.78.0.0/24', '--service', 'ssh')
    for (const i of [0, 1, 2]) {
      await closesSoon(i)
      configOf(server(i))
      await change(i, 'reload')
    }
  })
})
