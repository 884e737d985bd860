/** The daemon knocks on itself, and says so when no knock is heard: by log, status and doctor. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Status } from '../../src/controller/report/collect-status.js'
import type { Background } from '../support/commands.js'
import { run, until } from '../support/commands.js'
import { holdPacketThread } from '../support/hold-thread.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

const services = 'services:\n  ssh: { port: 22, window: 600 }'
const pkd = '{ type: pkd, tag: SSHK, key: test, opens: [ssh] }'
const plain = `${services}\ncredentials:\n  laptop: ${pkd}`
const often = 'log: { level: debug, format: json }\nself-test: 1'

/** A server whose nft hangs while a file says so. */
class Site {
  private constructor(readonly lab: Lab) {}
  daemon!: Background

  static async create(): Promise<Site> {
    const lab = await Lab.create()
    await lab.serve(22)
    const script = [
      '#!/bin/sh',
      `if [ -e ${lab.directory}/hang ]; then sleep 600; fi`,
      'PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin exec nft "$@"',
    ]
    lab.file('bin/nft', `${script.join('\n')}\n`, 0o755)
    return new Site(lab)
  }

  async start(body = plain, extra = often): Promise<void> {
    const { lab } = this
    this.daemon = lab.startDaemon(lab.config(body, extra), {
      env: { PATH: `${lab.directory}/bin:${process.env['PATH']}` },
    })
    await this.daemon.says(/listening on queue/)
  }

  async nft(command: string): Promise<void> {
    assert.equal((await this.lab.on(['/usr/sbin/nft', command])).status, 0, command)
  }

  async status(): Promise<Status> {
    return JSON.parse(await this.lab.mustPkctl('status', '--json')) as Status
  }

  async selfTest(): Promise<NonNullable<Status['selfTest']>> {
    return (await this.status()).selfTest ?? assert.fail('no self-test in the status')
  }

  /** Waits until the self-test has this result; it must not take two minutes. */
  async becomes(result: string, cause?: string): Promise<NonNullable<Status['selfTest']>> {
    const is = async () => {
      const found = await this.selfTest()
      return found.result === result && found.cause === cause
    }
    await until(is, 110_000).catch(() => assert.fail(`not ${result}:\n${this.daemon.output}`))
    return this.selfTest()
  }

  /** Without questions to the daemon, which may not be able to answer. */
  async says(sentence: RegExp): Promise<void> {
    await this.daemon.says(sentence, 110_000)
  }
}

describe('the self-test', { concurrency: 2 }, () => {
  describe('of one server', { concurrency: 1 }, () => {
    let site: Site
    before(async () => {
      site = await Site.create()
    })
    afterEach(async () => {
      await site.lab.on(['/usr/sbin/nft', 'delete table inet eater'])
      await site.daemon.stop()
    })
    after(() => site.lab.remove())

    it('passes, opens nothing, counts as no knock, and finds a foreign rule that eats knocks', async () => {
      await site.start()
      const { passedAt } = await site.becomes('passed')
      await until(async () => ((await site.selfTest()).passedAt ?? 0) > (passedAt ?? Infinity))
      const { knocks, waitedConnections, services, queue } = await site.status()
      assert.deepEqual([knocks.accepted, knocks.refused], [0, {}])
      assert.deepEqual([waitedConnections, services[0]?.grants, queue.unanswered], [0, 0, 0])
      assert.doesNotMatch(site.daemon.output, /127\.80\.75\.1/)
      await site.nft('add table inet eater')
      await site.nft('add chain inet eater first { type filter hook prerouting priority -300; }')
      await site.nft('add rule inet eater first udp length 64 drop')
      const { because, failures } = await site.becomes('failed', 'rules')
      assert.match(because ?? '', /^knocks to 62201\/udp are dropped before they come to queue 62/)
      assert.ok(failures > 0)
      assert.match(await site.lab.mustPkctl('status'), /^ {2}self-test: failed: knocks to 62201\/udp are dropped/m)
      assert.match(
        (await site.lab.pkctl('doctor', '--config', `${site.lab.directory}/pkctl.yaml`)).stdout,
        /the last knock of pkctld on itself failed/,
      )
      await site.nft('delete table inet eater')
      await site.becomes('passed')
      await site.says(/the self-test passes again/)
    })

    it('finds a reader that stands still, also with a full queue, and passes when it goes on', async () => {
      await site.start(`${plain}\nqueue: { max-length: 16 }\nlimits: { per-source: 1000, excess: 1000 }`)
      await site.becomes('passed')
      const tracer = await holdPacketThread(site.lab, site.daemon.child.pid as number)
      const { because } = await site.becomes('failed', 'reader')
      assert.equal(because, 'the packet worker does not answer')
      const knock = { send: { host: server4, port: knockPort, from: stranger4, hex: knockHex() } }
      await site.lab.peer(...Array.from({ length: 60 }, () => knock))
      assert.ok((await site.status()).queue.unanswered > 0, 'the queue is full')
      const { failures } = await site.selfTest()
      await until(async () => (await site.selfTest()).failures > failures, 110_000)
      await tracer.stop('SIGKILL')
      await site.becomes('passed')
    })

    for (const [what, body] of [
      ['sequences', `${services}\ncredentials:\n  phone: { type: sequence, sequence: [7000, 7001], opens: [ssh] }`],
      ['knocks by another interface', `${services}\ncredentials:\n  laptop: ${pkd.replace('}', ', interface: s0 }')}`],
      ['the hook prerouting', plain.replace('window: 600', 'window: 600, hook: prerouting')],
      [
        "pkctl's own knocks",
        `${services}\ncredentials:\n  laptop: { type: symmetric, key: "0x${'a5'.repeat(32)}", opens: [ssh] }`,
      ],
    ] as const) {
      it(`passes with ${what}`, async () => {
        const state = `${site.lab.directory}/state`
        if (body.includes('symmetric')) await site.lab.mustPkctl('keygen', '--server', '--state-directory', state)
        await site.start(body)
        await site.becomes('passed')
        const { knocks } = await site.status()
        assert.deepEqual([knocks.accepted, knocks.refused], [0, {}])
      })
    }

    it('passes where a firewall filters the loopback interface, and behind a knock that opens', async () => {
      await site.nft('add table inet eater')
      await site.nft('add chain inet eater in { type filter hook input priority 0; }')
      await site.nft('add rule inet eater in iif lo drop')
      await site.start()
      await site.becomes('passed')
      await site.lab.peer({ send: { host: server4, port: knockPort, from: client4, hex: knockHex() } })
      assert.equal(await site.lab.opens(server4, client4), 'open')
    })

    it('is not possible, and says why, where nothing may be sent, and where the interface is down', async () => {
      await site.nft('add table inet eater')
      await site.nft('add chain inet eater out { type filter hook output priority 0; }')
      await site.nft('add rule inet eater out oif lo drop')
      await site.start()
      assert.match((await site.becomes('impossible')).because ?? '', /refuses what pkctld sends by the loopback/)
      await site.nft('delete table inet eater')
      await site.becomes('passed')
      await site.lab.on(['ip', 'link', 'set', 'lo', 'down'])
      try {
        assert.match((await site.becomes('impossible')).because ?? '', /the loopback interface is down/)
      } finally {
        await site.lab.on(['ip', 'link', 'set', 'lo', 'up'])
      }
      await site.becomes('passed')
    })

    it('is off by the configuration, and where there are no credentials; a reload turns it on', async () => {
      await site.start(plain, 'self-test: off')
      assert.equal((await site.selfTest()).result, 'off')
      assert.doesNotMatch(await site.lab.mustPkctl('status'), /self-test/)
      site.lab.config(plain)
      await site.lab.mustPkctl('reload')
      await site.becomes('passed')
      site.lab.config(services)
      await site.lab.mustPkctl('reload')
    })
  })

  it('finds an nft that is dead, and passes when it works again', async () => {
    const site = await Site.create()
    const { lab } = site
    try {
      await site.start()
      await site.becomes('passed')
      const hang = lab.file('hang', '')
      const { stdout } = await run(['ip', 'netns', 'pids', lab.server])
      const sessions = stdout
        .split('\n')
        .filter(pid => pid !== '' && fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'nft')
      for (const pid of sessions) process.kill(Number(pid), 'SIGSTOP')
      await site.says(/the self-test failed: .*(nft|compared)/)
      fs.rmSync(hang)
      await site.says(/the self-test passes again/)
    } finally {
      fs.rmSync(`${lab.directory}/hang`, { force: true })
      await site.daemon.stop()
      await lab.remove()
    }
  })
})
