/** Somebody else changes or deletes pkctl's rules while the daemon runs: they come back, with the grants that run. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import type { Status } from '../../src/controller/status.js'
import type { Background } from '../support/commands.js'
import { must, sleep, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'

const config = [
  'services:',
  '  ssh: { port: 22, window: 600 }',
  '  once: { port: 2222, window: 600, single-use: true }',
  'credentials:',
  '  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }',
  '  ticket: { type: pkd, tag: TICK, key: test, opens: [once] }',
].join('\n')

const watched = /the ruleset is watched/

describe('healing', () => {
  let lab: Lab
  let daemon: Background

  async function begin() {
    lab = await Lab.create()
    await lab.serve(22, 2222, 8080)
    daemon = await lab.daemon(lab.config(config))
    await daemon.says(watched)
  }

  const nft = (...args: string[]) => must(['ip', 'netns', 'exec', lab.server, 'nft', ...args])
  const status = async () => JSON.parse(await lab.mustPkctl('status', '--json')) as Status
  const healed = (times: number) =>
    until(async () => (await status()).healed >= times).catch((error: unknown) => {
      throw new Error(`not healed:\n${daemon.output}`, { cause: error })
    })
  const knock = (host: string, from: string, tag = 'SSHK') =>
    lab.peer({ send: { host, from, port: knockPort, hex: knockHex({ tag }) } })
  const closedTo = async (host: string, from: string, port = 22) =>
    assert.equal(await lab.opens(host, from, port), 'timeout', `${from} to ${port}`)
  const openTo = async (host: string, from: string, port = 22) =>
    assert.equal(await lab.opens(host, from, port), 'open', `${from} to ${port}`)
  const handleOf = async (chain: string, pattern: RegExp) => {
    const line = (await nft('-a', 'list', 'chain', 'inet', 'pkctl', chain)).split('\n').find(text => pattern.test(text))
    return /# handle (\d+)/.exec(line ?? '')?.[1] ?? ''
  }
  const monitor = () =>
    fs
      .readFileSync(`/proc/${daemon.child.pid}/task/${daemon.child.pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .map(Number)
      .find(pid => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('monitor'))
  /** Seconds that are left of the grants of a source, by set. */
  const left = async (source: string) => {
    const { nftables } = JSON.parse(await nft('-j', 'list', 'table', 'inet', 'pkctl')) as {
      nftables: { set?: { name: string; elem?: { elem?: { val: string; expires: number } }[] } }[]
    }
    const found = nftables.flatMap(({ set }) =>
      (set?.elem ?? []).flatMap(({ elem }) => (set && elem?.val === source ? [[set.name, elem.expires] as const] : [])),
    )
    return Object.fromEntries(found) as Record<string, number>
  }

  /** All is as it was: strangers are kept out, knocks open, and the daemon does not mend any more. */
  async function allIsWell(times: number) {
    await closedTo(server4, stranger4)
    await closedTo(server6, stranger6)
    await knock(server4, client4)
    await openTo(server4, client4)
    await sleep(300)
    assert.equal((await status()).healed, times)
  }

  describe('of rules', () => {
    before(begin)
    after(() => lab.remove())
    const damages: readonly { name: string; says: RegExp; damage: () => Promise<unknown> }[] = [
      { name: 'the whole ruleset', says: /deleted by process \d+ \(nft\)/, damage: () => nft('flush', 'ruleset') },
      {
        name: 'the table',
        says: /table inet pkctl was deleted/,
        damage: () => nft('delete', 'table', 'inet', 'pkctl'),
      },
      {
        name: 'one rule',
        says: /service ssh was changed/,
        damage: async () =>
          nft('delete', 'rule', 'inet', 'pkctl', 'pk-ssh', 'handle', await handleOf('pk-ssh', /drop comment "pkctl/)),
      },
      {
        name: 'the rules of a service',
        says: /service ssh was changed/,
        damage: () => nft('flush', 'chain', 'inet', 'pkctl', 'pk-ssh'),
      },
      {
        name: 'the rules of the gate',
        says: /chain gate-input was changed/,
        damage: () => nft('flush', 'chain', 'inet', 'pkctl', 'gate-input'),
      },
      {
        name: 'the rules of the packet path',
        says: /chain knock-input was changed/,
        damage: () => nft('flush', 'chain', 'inet', 'pkctl', 'knock-input'),
      },
      {
        name: 'the port of a service',
        says: /service ssh was changed/,
        damage: () => nft('delete element inet pkctl services-input { tcp . 22 : goto pk-ssh }'),
      },
      {
        name: 'the plans',
        says: /elements of grants were changed/,
        damage: () => nft('flush', 'map', 'inet', 'pkctl', 'grants'),
      },
    ]
    for (const { name, says, damage } of damages) {
      it(`puts back what was deleted: ${name}`, async () => {
        const times = (await status()).healed
        const said = daemon.output.length
        await damage()
        await healed(times + 1)
        await allIsWell(times + 1)
        assert.match(daemon.output.slice(said), says)
      })
    }

    const edits: readonly { name: string; edit: () => Promise<unknown> }[] = [
      {
        name: 'a rule that accepts, before all others of a service',
        edit: () => nft('insert', 'rule', 'inet', 'pkctl', 'pk-ssh', 'accept'),
      },
      {
        name: 'a rule with the comment of the one that it replaces',
        edit: async () => {
          const handle = await handleOf('pk-ssh', /comment "always allowed"/)
          return nft(`replace rule inet pkctl pk-ssh handle ${handle} counter accept comment "always allowed"`)
        },
      },
      {
        name: 'a rule that looks like a lookup of the gate',
        edit: () => nft('insert rule inet pkctl gate-input tcp dport vmap { 22 : accept }'),
      },
      { name: 'prefixes allowed', edit: () => nft('add element inet pkctl pk-ssh.allow-4 { 10.0.0.0/8 }') },
      {
        name: 'a range of ports',
        edit: () => nft('add element inet pkctl ranges-input { tcp . 9000-9010 : goto pk-ssh }'),
      },
      { name: 'a table that sleeps', edit: () => nft('add table inet pkctl { flags dormant; }') },
      { name: 'the policy of a chain', edit: () => nft('add chain inet pkctl gate-input { policy drop; }') },
    ]
    for (const { name, edit } of edits) {
      it(`takes back what was added: ${name}`, async () => {
        const times = (await status()).healed
        await edit()
        await healed(times + 1)
        await allIsWell(times + 1)
        await openTo(server4, stranger4, 8080)
      })
    }
  })

  describe('of more', () => {
    beforeEach(begin)
    afterEach(() => lab.remove())

    it('puts its table back beside those that came in the same transaction', async () => {
      const others = 'flush ruleset\ntable inet filter {\n chain input { type filter hook input priority 0; }\n}\n'
      await nft('-f', lab.file('nftables.conf', others))
      await healed(1)
      assert.match(await nft('list', 'ruleset'), /table inet filter/)
      await allIsWell(1)
    })

    it('does not believe a saved ruleset, nor the grants in it', async () => {
      await lab.mustPkctl('add', stranger4, '--service', 'ssh', '--for', '1h')
      const saved = await nft('list', 'table', 'inet', 'pkctl')
      await lab.mustPkctl('delete', stranger4, '--service', 'ssh')
      assert.match(saved, new RegExp(stranger4.replaceAll('.', '\\.')))
      // What stands for iptables' rule in a listing does not load everywhere, so only our table is loaded again.
      await nft('-f', lab.file('saved.nft', `flush ruleset\n${saved}`))
      await healed(1)
      await allIsWell(1)
    })

    it('puts running grants back, by knock and by hand, both families, with the time they have left', async () => {
      await knock(server4, client4)
      await knock(server6, client6)
      await lab.mustPkctl('add', stranger4, '--service', 'ssh', '--for', '500')
      await lab.mustPkctl('add', stranger6, '--service', 'ssh')
      await openTo(server4, client4)
      const sources = [client4, client6, stranger4]
      await sleep(2500)
      const before = await Promise.all(sources.map(left))
      await nft('flush', 'ruleset')
      await healed(1)
      for (const [i, source] of sources.entries()) {
        const now = await left(source)
        assert.deepEqual(Object.keys(now), Object.keys(before[i] ?? {}), source)
        for (const [set, was] of Object.entries(before[i] ?? {})) {
          const seconds = now[set] ?? 0
          assert.ok(seconds <= was && was - seconds <= 5, `${source} in ${set}: ${was} s, then ${seconds} s`)
        }
      }
      await openTo(server4, client4)
      await openTo(server6, client6)
      await openTo(server4, stranger4)
      await openTo(server6, stranger6)
      assert.match(daemon.output, /with 4 grants/)
      const list = await lab.mustPkctl('list', 'ssh')
      assert.match(list, /no end|without end/)
    })

    it('leaves a grant alone that somebody deletes, also after a flush', async () => {
      await knock(server4, client4)
      await lab.mustPkctl('add', stranger4, '--service', 'ssh', '--for', '1h')
      await nft(`delete element inet pkctl pk-ssh-4 { ${client4} }`)
      await nft(`delete element inet pkctl pk-ssh.add-4 { ${stranger4} }`)
      await sleep(300)
      await closedTo(server4, client4)
      await closedTo(server4, stranger4)
      assert.equal((await status()).healed, 0)
      await nft('flush', 'ruleset')
      await healed(1)
      await closedTo(server4, client4)
      await closedTo(server4, stranger4)
    })

    it('does not put back what one connection uses up', async () => {
      await knock(server4, client4, 'TICK')
      await openTo(server4, client4, 2222)
      await nft('flush', 'ruleset')
      await healed(1)
      await closedTo(server4, client4, 2222)
      await knock(server4, client4, 'TICK')
      await openTo(server4, client4, 2222)
    })

    it('knows the grants that ran when it was started', async () => {
      await knock(server4, client4)
      await lab.mustPkctl('add', stranger4, '--service', 'ssh')
      await daemon.stop('SIGKILL')
      daemon = await lab.daemon(lab.config(config))
      await daemon.says(watched)
      await nft('flush', 'ruleset')
      await healed(1)
      await openTo(server4, client4)
      await openTo(server4, stranger4)
    })

    it('commands of pkctl are no damage, and what they made comes back after a flush, or not', async () => {
      await lab.mustPkctl('init', 'web', '--port', '8080', '--syn')
      await lab.mustPkctl('add', client4, '--service', 'web')
      await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--reject', 'reset')
      await lab.mustPkctl('remove', 'once')
      await sleep(300)
      assert.equal((await status()).healed, 0)
      await openTo(server4, stranger4, 2222)
      await nft('flush', 'ruleset')
      await healed(1)
      await closedTo(server4, stranger4, 8080)
      await openTo(server4, client4, 8080)
      await openTo(server4, stranger4, 2222)
      assert.equal(await lab.opens(server4, stranger4), 'reset', 'as the last command made it')
      await lab.mustPkctl('remove', 'web')
      await lab.mustPkctl('remove', 'ssh')
      await sleep(300)
      assert.equal((await status()).healed, 1)
      await openTo(server4, stranger4)
      assert.equal(await daemon.stop(), 0)
      assert.doesNotMatch(await nft('list', 'ruleset'), /pkctl/)
    })

    it('a reload is no damage, and does not bring back what was flushed with an old configuration', async () => {
      lab.config(config.replace('port: 2222,', 'port: 8080,'))
      await lab.mustPkctl('reload')
      await nft('flush', 'ruleset')
      await healed(1)
      await closedTo(server4, stranger4, 8080)
      await openTo(server4, stranger4, 2222)
      await allIsWell(1)
    })

    it("puts the rule in iptables' table back, where it queues by one", async t => {
      if ((await status()).queue.native) return t.skip('this kernel has the queue statement')
      await must(['ip', 'netns', 'exec', lab.server, 'iptables-nft', '-t', 'mangle', '-F'])
      await daemon.says(/the rule that queues knocks was deleted/)
      await healed(1)
      await nft('delete', 'table', 'ip6', 'mangle')
      await healed(2)
      await knock(server6, client6)
      await openTo(server6, client6)
      await allIsWell(2)
    })

    it('goes on when its nft was killed', async () => {
      const pid = monitor()
      assert.ok(pid)
      process.kill(pid, 'SIGKILL')
      await nft('flush', 'ruleset')
      await until(() => (daemon.output.match(new RegExp(watched, 'g'))?.length ?? 0) > 1)
      assert.ok(monitor() !== undefined && monitor() !== pid)
      await healed(1)
      await closedTo(server4, stranger4)
      await nft('flush', 'ruleset')
      await healed(2)
      await allIsWell(2)
    })

    it('does not give up when somebody flushes again and again, and says so once', async t => {
      const times: number[] = []
      for (let i = 0; i < 20; i++) {
        const there = (await nft('list', 'tables')).includes('inet pkctl')
        assert.ok(there, `put back for flush ${i + 1}`)
        await nft('flush', 'ruleset')
        const start = performance.now()
        await until(async () => (await nft('list', 'tables')).includes('inet pkctl'))
        times.push(performance.now() - start)
      }
      t.diagnostic(`from a flush to closed ports: ${times.map(time => time.toFixed(0)).join(', ')} ms`)
      await until(async () => (await nft('list', 'ruleset')).includes('chain pk-ssh'))
      await closedTo(server4, stranger4)
      await daemon.says(/changed again and again/)
      assert.equal(daemon.output.match(/changed again and again/g)?.length, 1)
      assert.ok((await status()).healed >= 15)
    })

    it('leaves no nft behind when it is killed', async () => {
      const pid = monitor()
      assert.ok(pid)
      await daemon.stop('SIGKILL')
      await until(() => !fs.existsSync(`/proc/${pid}/cmdline`) || fs.readFileSync(`/proc/${pid}/cmdline`).length === 0)
    })
  })
})
