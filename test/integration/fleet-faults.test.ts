/** A fleet whose engine and network fail, on real processes: what was revoked is revoked on all servers in the end. */
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { ask } from '../../src/util/index.js'
import { Background, dist, must, run, until } from '../support/commands.js'
import type { FleetServer } from '../support/engine.js'
import {
  clientAddress,
  engineAddress,
  FleetSite,
  otherAddress,
  skipWithoutEngine,
  TestEngine,
} from '../support/engine.js'
import { fakeTimeLibrary } from '../support/faketime.js'
import { FleetClient } from '../support/fleet-client.js'
import { knockPort } from '../support/knocks.js'

const configOf = (server: FleetServer, port = 6379) => {
  server.file('fleet.key', `0x${'7f'.repeat(32)}\n`)
  return server.config(`services: { ssh: { port: 22, window: 300 } }
credentials: { laptop: { type: pkd, tag: SSHK, key: test, port: ${knockPort}, opens: [ssh], rate: none } }
fleet: { url: "redis://${engineAddress}:${port}", group: edge, node: ${server.node}, key-file: fleet.key, share: [ssh], accept: [ssh] }`)
}

const sources = Array.from({ length: 12 }, (_, i) => `203.0.113.${i + 1}`)

describe('a fleet in trouble', { skip: skipWithoutEngine }, () => {
  let site: FleetSite
  let client: FleetClient

  before(async () => {
    site = await FleetSite.create(3)
    client = new FleetClient(site)
  })
  after(async () => {
    client.stop()
    await site.remove()
  })
  afterEach(async () => {
    await Promise.all(site.servers.map(server => server.stop()))
    await site.engine.kill()
    // Grants outlive a daemon.
    for (const one of site.servers) await one.on(['nft', 'flush', 'ruleset'])
  })

  const server = (i: number) => site.servers[i] as FleetServer
  const start = async () => {
    await site.engine.start()
    await site.startAll(one => configOf(one))
  }
  const change = async (i: number, request: 'add' | 'delete', address: string) => {
    const seconds = request === 'add' ? { seconds: 300 } : {}
    const asked = { request, service: 'ssh', address, ...seconds }
    const answer = await ask(server(i).socket, asked)
    assert.equal(answer.ok, true, JSON.stringify(answer))
  }
  /** Which of the addresses the kernel of the server lets in. */
  const granted = async (i: number) => {
    const set = await server(i).on(['nft', 'list', 'set', 'inet', 'pkctl', 'pk-ssh.add-4'])
    return sources.filter(address => new RegExp(`\\b${address.replaceAll('.', '\\.')}\\b`).test(set.stdout))
  }
  const all = async (expected: readonly string[]) => {
    const found = async () => Promise.all([0, 1, 2].map(granted))
    const wanted = [expected, expected, expected]
    await until(async () => JSON.stringify(await found()) === JSON.stringify(wanted), 20_000).catch(() => undefined)
    assert.deepEqual(await found(), wanted)
  }
  const cut = ({ namespace }: FleetServer) =>
    must(['ip', 'netns', 'exec', namespace, 'nft', '-f', '-'], {
      input: `table ip cut {
  chain out { type filter hook output priority 0; ip daddr ${engineAddress} drop; }
  chain in { type filter hook input priority -300; ip saddr ${engineAddress} drop; }
}`,
    })
  const heal = ({ namespace }: FleetServer) =>
    run(['ip', 'netns', 'exec', namespace, 'nft', 'delete', 'table', 'ip', 'cut'])

  it('loses no revocation of a partition, nor of a server that ends in it', async () => {
    await start()
    for (const address of sources) await change(0, 'add', address)
    await all(sources)
    await cut(server(1))
    await cut(server(2))
    // The one on this side, the others beyond it: one goes on, one is killed and starts again.
    for (const [i, address] of sources.slice(0, 9).entries()) await change(i % 3, 'delete', address)
    await server(2).until('kept on disk', async () => {
      const kept = await run(['grep', '-c', '', path.join(server(2).directory, 'state/fleet-outbox')])
      return kept.stdout.trim() === '3'
    })
    await server(2).stop('SIGKILL')
    await server(2).start(configOf(server(2)))
    await Promise.all([1, 2].map(i => heal(server(i))))
    await all(sources.slice(9))
  })

  it('loses none where the engine is killed at any moment, and comes back empty', async () => {
    await start()
    const open = new Set<string>()
    for (let round = 0; round < 6; round++) {
      const changes = sources.map(async (address, i) => {
        // Each address is changed by one server, of which another order would be another wish.
        const isAdded = (round + i) % 2 === 0
        if (isAdded) open.add(address)
        else open.delete(address)
        await change(i % 3, isAdded ? 'add' : 'delete', address)
      })
      await new Promise(resolve => setTimeout(resolve, round * 7))
      await site.engine.kill()
      await Promise.all(changes)
      await site.engine.start()
    }
    await all(sources.filter(address => open.has(address)))
  })

  it('goes on with a replica that takes the place of the engine', async () => {
    await start()
    const replica = new TestEngine(site.hub, engineAddress, `${site.directory}/replica`, [], 6380)
    replica.options = ['--replicaof', engineAddress, '6379']
    await replica.start()
    for (const address of sources) await change(0, 'add', address)
    await all(sources)
    await change(1, 'delete', sources[0] as string)
    await site.engine.kill()
    await change(2, 'delete', sources[1] as string)
    await replica.cli('replicaof', 'no', 'one')
    // The address by which the servers know the engine goes over to it.
    await must(['ip', 'netns', 'exec', site.hub, 'nft', '-f', '-'], {
      input: `table ip moved {
  chain in { type nat hook prerouting priority -100; tcp dport 6379 redirect to :6380; }
}`,
    })
    try {
      await all(sources.slice(2))
      await change(0, 'delete', sources[2] as string)
      await all(sources.slice(3))
    } finally {
      await must(['ip', 'netns', 'exec', site.hub, 'nft', 'delete', 'table', 'ip', 'moved'])
      await replica.kill()
    }
  })

  it('opens here at once, and there when the message comes, with an engine that is far away', async () => {
    const far = 400
    await site.engine.start()
    const argv = [path.join(dist, 'test/support/slow-relay.js'), engineAddress, '6390', '6379', `${far}`]
    const relay = new Background(['ip', 'netns', 'exec', site.hub, process.execPath, ...argv])
    try {
      await relay.says(/ready/)
      await site.startAll(one => configOf(one, 6390))
      await client.knock(server(0))
      await client.opensSoon(server(0))
      assert.equal(await client.opens(server(0), otherAddress), false)
      for (const i of [1, 2]) await client.opensSoon(server(i))
      await change(1, 'delete', clientAddress)
      for (const i of [0, 1, 2]) await client.closesSoon(server(i))
      const status = await server(1).mustCommand('fleet', 'status')
      const [, lag = ''] = /node-0: heard .*lag (\d+) ms/.exec(status) ?? []
      assert.ok(Number(lag) >= far, status)
    } finally {
      await relay.stop()
    }
  })

  it('shares grants and revocations where the clock of a server is ahead, and says so', async t => {
    if (fakeTimeLibrary === '') return t.skip('there is no faketime')
    await site.engine.start()
    const ahead = ['env', `LD_PRELOAD=${fakeTimeLibrary}`, 'FAKETIME=+9s', 'DONT_FAKE_MONOTONIC=1']
    for (const i of [0, 1, 2]) await server(i).start(configOf(server(i)), i === 1 ? ahead : [])
    for (const i of [0, 1, 2]) await server(i).says(/connected to the engine/)
    for (const i of [0, 1]) await change(i, 'add', sources[i] as string)
    await all(sources.slice(0, 2))
    // The other one has made it, by a clock that is behind or ahead.
    for (const i of [0, 1]) await change(1 - i, 'delete', sources[i] as string)
    await all([])
    await server(0).until('the clock', async () => {
      return /the clock of node-1 is [89](\.\d)? s ahead of/.test(await server(0).mustCommand('fleet', 'status'))
    })
  })

  it('hears of what counts behind a flood of messages that do not', async () => {
    await start()
    const flood = `for i = 1, 50000 do redis.call('xadd', KEYS[1], '*', 'm', 'rubbish' .. i) end`
    await site.engine.cli('eval', flood, '1', 'pkctl:edge:events')
    await client.knock(server(0))
    for (const i of [0, 1, 2]) await client.opensSoon(server(i))
    await change(2, 'delete', clientAddress)
    for (const i of [0, 1, 2]) await client.closesSoon(server(i))
  })
})
