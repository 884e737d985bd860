/**
 * Servers that share grants through a real engine: each with a daemon in a network namespace, one client that knocks at one of
 * them. A port without a program answers with a reset where the gate lets a connection through.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { encodeMessage } from '../../src/fleet/message.js'
import { dist, pkctl, root, sleep } from '../support/commands.js'
import type { FleetServer } from '../support/engine.js'
import { clientAddress, engineAddress, FleetSite, otherAddress, skipWithoutEngine } from '../support/engine.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { PeerProcess } from '../support/peerprocess.js'

const key = `0x${'7f'.repeat(32)}`
const group = { name: 'edge', key: Buffer.alloc(32, 0x7f) }
const stream = 'pkctl:edge:events'

const configOf = (server: FleetServer, fleet = 'share: [ssh], accept: [ssh]', window = 60) => {
  server.file('fleet.key', `${key}\n`)
  return server.config(`services:
  ssh: { port: 22, window: ${window} }
  web: { port: 80, window: 60 }
credentials:
  laptop: { type: pkd, tag: SSHK, key: test, port: ${knockPort}, opens: [ssh, web], rate: none }
  shut: { type: pkd, tag: SHUT, key: test, port: ${knockPort}, closes: [ssh], rate: none }
metrics: { textfile: ${server.directory}/pkctl.prom, interval: 1 }
fleet: { url: "redis://${engineAddress}", group: edge, node: ${server.node}, key-file: fleet.key, ${fleet} }`)
}

describe('a fleet', { skip: skipWithoutEngine }, () => {
  let site: FleetSite
  let peer: PeerProcess

  before(async () => {
    site = await FleetSite.create(3)
    await site.engine.start()
    peer = new PeerProcess([
      ...(['ip', 'netns', 'exec', site.hub, process.execPath] as const),
      path.join(dist, 'test/support/peer.js'),
    ])
    await Promise.all(site.servers.map(server => server.start(configOf(server), pkctl)))
    await Promise.all(site.servers.map(server => server.says(/connected to the engine/)))
  })
  after(async () => {
    peer.stop()
    await site.remove()
  })

  const server = (i: number) => site.servers[i] as FleetServer
  const opens = async (i: number, from = clientAddress, port = 22) => {
    const [outcome] = await peer.take([{ connect: { host: server(i).address, port, from } }])
    return outcome?.result === 'reset'
  }
  const knock = (i: number, from = clientAddress, tag = 'SSHK') =>
    peer.take([{ send: { host: server(i).address, port: knockPort, from, hex: knockHex({ tag }) } }])
  const opensSoon = (i: number, from = clientAddress) => server(i).until(`${from} may use ssh`, () => opens(i, from))
  const closesSoon = (i: number, from = clientAddress) =>
    server(i).until(`${from} may not use ssh`, async () => !(await opens(i, from)))
  const command = async (i: number, ...args: string[]) => {
    const { status, stdout, stderr } = await server(i).on([process.execPath, pkctl, ...args])
    assert.equal(status, 0, stderr)
    return stdout
  }
  const change = (i: number, ...args: string[]) => command(i, ...args, '--socket', server(i).socket)
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
    const list = await command(1, 'list', 'ssh')
    assert.match(list, /granted: 10\.78\.0\.2 {2}\d+ s left {2}by hand {2}\S+ fleet:node-0/)
    // Not told back, and not granted again where the knock was.
    assert.doesNotMatch(await command(0, 'list', 'ssh'), /fleet:/)
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
    await server(2).start(configOf(server(2)), pkctl)
    await closesSoon(2)
    await opensSoon(2, otherAddress)
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
    assert.match(await change(1, 'fleet', 'list'), /^10\.78\.0\.2 {2}ssh {2}\d+ s left {2}by knock at node-0$/m)
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
})
