/** What hangs beside the daemon does not stop it: nft, its monitor, the lock, the log, those who ask. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as net from 'node:net'
import path from 'node:path'
import { describe, it } from 'node:test'
import type { Status } from '../../src/controller/report/collect-status.js'
import type { Background, RunOptions } from '../support/commands.js'
import { pkctl, run, sleep, slowness, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, lockFile, server4, stranger4 } from '../support/lab.js'

const config = [
  'services: { ssh: { port: 22, window: 600 } }',
  'credentials: { laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] } }',
].join('\n')

/** A stop must not take longer, whatever hangs. */
const stopMilliseconds = 15_000 * slowness

/** A server whose programs hang while a file of the name `hang-PROGRAM` says so. */
class Site {
  private constructor(readonly lab: Lab) {}
  #daemon: Background | undefined

  get daemon(): Background {
    assert.ok(this.#daemon)
    return this.#daemon
  }

  static async create(): Promise<Site> {
    const lab = await Lab.create()
    await lab.serve(22)
    const site = new Site(lab)
    for (const program of ['nft', 'logger']) {
      const script = [
        '#!/bin/sh',
        `hang=$(cat ${lab.directory}/hang-${program} 2>/dev/null)`,
        `if [ -n "$hang" ]; then case "$*" in *$hang*) echo $$ "$*" >>${lab.directory}/hung; sleep 600;; esac; fi`,
        program === 'nft' ? 'PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin exec nft "$@"' : 'exec cat >/dev/null',
      ]
      lab.file(`bin/${program}`, `${script.join('\n')}\n`, 0o755)
    }
    return site
  }

  get options(): RunOptions {
    return { env: { PATH: `${this.lab.directory}/bin:${process.env['PATH']}` } }
  }

  async start(extra?: string): Promise<void> {
    const { lab } = this
    this.#daemon = lab.startDaemon(lab.config(config, extra), this.options)
    await until(async () => (await lab.opens(server4, stranger4)) === 'timeout')
    await until(async () => (await this.status())?.watched === true)
  }

  /** Lets a program hang when its arguments match a pattern of the shell. */
  hang(program: 'nft' | 'logger', pattern = '*'): void {
    this.lab.file(`hang-${program}`, pattern)
  }

  unhang(): void {
    for (const program of ['nft', 'logger']) fs.rmSync(`${this.lab.directory}/hang-${program}`, { force: true })
  }

  /** The programs that were made to hang so far, each with its arguments. */
  hung(): string[] {
    const file = path.join(this.lab.directory, 'hung')
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n') : []
  }

  /** Those that still do. */
  hanging(): number[] {
    const pids = this.hung().map(line => Number(line.split(' ')[0]))
    return pids.filter(
      pid => fs.existsSync(`/proc/${pid}/stat`) && !fs.readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z'),
    )
  }

  async status(): Promise<Status | undefined> {
    const { status, stdout } = await this.lab.pkctl('status', '--json')
    return status === 0 ? (JSON.parse(stdout) as Status) : undefined
  }

  async flush(): Promise<void> {
    assert.equal((await this.lab.on(['/usr/sbin/nft', 'flush', 'ruleset'])).status, 0)
  }

  async closedWithin(milliseconds: number): Promise<void> {
    await until(async () => (await this.lab.opens(server4, stranger4)) === 'timeout', milliseconds).catch(() =>
      assert.fail(`the port stays open:\n${this.daemon.output}`),
    )
  }

  async says(sentence: RegExp, milliseconds: number): Promise<void> {
    await until(() => sentence.test(this.daemon.output), milliseconds).catch(() =>
      assert.match(this.daemon.output, sentence),
    )
  }

  /** Asks the daemon to end, and waits until it has, for as long as it may take. */
  async endsInTime(): Promise<void> {
    const { child } = this.daemon
    child.kill('SIGTERM')
    await until(() => child.exitCode !== null || child.signalCode !== null, stopMilliseconds / slowness).catch(() =>
      assert.fail(`it does not end:\n${this.daemon.output}`),
    )
    assert.equal(await this.lab.opens(server4, stranger4), 'timeout', 'the port stays closed')
  }

  async remove(): Promise<void> {
    this.unhang()
    this.#daemon?.child.kill('SIGKILL')
    for (const pid of this.hanging()) process.kill(pid, 'SIGKILL')
    await this.lab.remove()
  }
}

describe('what hangs', { concurrency: 4 }, () => {
  /** Each test has a site of its own, because most of them only wait. */
  function on(what: string, extra: string | undefined, test: (site: Site) => Promise<void>): void {
    it(what, async () => {
      const site = await Site.create()
      try {
        await site.start(extra)
        await test(site)
      } finally {
        await site.remove()
      }
    })
  }

  on(
    'an nft that does not answer is killed, the log says which, and a flushed port is closed again',
    undefined,
    async site => {
      site.hang('nft', '*list*')
      await site.flush()
      await until(() => site.hanging().length > 0)
      site.unhang()
      await site.closedWithin(25_000)
      // The port may be closed again before that listing's time is over.
      await site.says(
        /nft list (ruleset inet|(table|map|set) inet pkctl)\S* .*did not end within \d+ s and was killed/,
        30_000,
      )
      await until(() => site.hanging().length === 0, 2000)
      // Knocks open again, too: each one is new, for the first may come before the rules are back.
      await until(async () => {
        const knock = { send: { host: server4, from: client4, port: knockPort, hex: knockHex() } }
        const [, outcome] = await site.lab.peer(knock, { connect: { host: server4, port: 22, from: client4 } })
        return outcome?.result === 'open'
      }, 5000)
    },
  )

  on('while nft hangs the daemon ends in time, and those who wait for an answer get one', undefined, async site => {
    site.hang('nft')
    const asked = ['status', 'reload'].map(request => site.lab.pkctl(request))
    await until(() => site.hanging().length > 0)
    await site.endsInTime()
    for (const { status, stderr } of await Promise.all(asked)) {
      assert.equal(status, 1)
      assert.match(stderr, /pkctld is stopping|was killed|about to end|ended before it answered/)
    }
    await until(() => site.hanging().length === 0, 2000)
  })

  on('a monitor that is stopped is replaced, and a flush is undone without it', undefined, async site => {
    const monitor = await monitorOf(site.daemon)
    process.kill(monitor, 'SIGSTOP')
    await site.flush()
    await site.closedWithin(13_000)
    await until(async () => (await monitorOf(site.daemon)) !== monitor, 30_000)
    assert.match(site.daemon.output, /nft monitor is started again/)
    await until(async () => (await site.status())?.watched === true)
  })

  on('24 askers that leave keep no nft busy', undefined, async site => {
    // Until then it lists everything for itself, too, and waits for that.
    await site.daemon.says(/the ruleset is watched/)
    site.hang('nft', '*list table inet pkctl*')
    const askers = Array.from({ length: 24 }, () =>
      spawn('ip', ['netns', 'exec', site.lab.server, process.execPath, pkctl, 'status', '--socket', site.lab.socket]),
    )
    await until(() => site.hanging().length > 0)
    await sleep(1500)
    assert.equal(site.hanging().length, 1, 'one listing at a time')
    for (const asker of askers) asker.kill('SIGKILL')
    await until(() => site.hanging().length === 0, 3000).catch(() => assert.fail(site.hung().join('\n')))
    site.unhang()
    assert.ok(await site.status())
  })

  on(
    'a lock in the hands of another program is named, and keeps the daemon neither from closing ports nor from ending',
    undefined,
    async site => {
      const script = `echo "cron-job $$ 2026-01-02T03:04:05Z" >"${lockFile}"; echo held; exec sleep 60`
      const held = site.lab.start('server', ['sh', '-c', `exec flock --no-fork ${lockFile} sh -c '${script}'`])
      await held.says(/held/)
      await site.flush()
      await site.closedWithin(20_000)
      assert.doesNotMatch(site.daemon.output, /the table inet pkctl was deleted/, 'ports do not wait for the lock')
      await site.says(/the table inet pkctl was deleted/, 20_000)
      assert.equal(await site.lab.opens(server4, stranger4), 'timeout')
      await site.endsInTime()
      assert.match(
        site.daemon.output,
        /cron-job, process \d+, has been changing the ruleset since 2026-01-02T03:04:05Z/,
      )
      await held.stop('SIGKILL')
    },
  )

  on(
    'a logger that hangs keeps neither knocks nor the end waiting',
    'log: { level: debug, to: syslog }',
    async site => {
      await site.daemon.stop()
      site.hang('logger')
      await site.start('log: { level: debug, to: syslog }')
      const knock = { send: { host: server4, from: client4, port: knockPort, hex: knockHex() } }
      const [, outcome] = await site.lab.peer(knock, { connect: { host: server4, port: 22, from: client4 } })
      assert.equal(outcome?.result, 'open')
      await site.endsInTime()
      await until(() => site.hanging().length === 0, 2000)
    },
  )

  it('a stderr that no process reads keeps the daemon neither from its work nor from ending', async () => {
    const site = await Site.create()
    const { lab } = site
    const argv = ['netns', 'exec', lab.server, process.execPath, pkctl, 'daemon', '--config', lab.config(config)]
    const child = spawn('ip', argv, { stdio: ['ignore', 'ignore', 'pipe'] })
    try {
      child.stderr.pause()
      await until(async () => (await lab.opens(server4, stranger4)) === 'timeout')
      // Each refused request is a line of the log.
      lab.file('broken.yaml', 'x')
      fs.writeFileSync(path.join(lab.directory, 'pkctl.yaml'), `${'x'.repeat(4000)}: 1\n`)
      for (let i = 0; i < 60; i++) assert.equal(await refusedReload(lab.socket), true)
      const ended = new Promise(done => child.once('exit', done))
      child.kill('SIGTERM')
      await Promise.race([ended, sleep(stopMilliseconds).then(() => assert.fail('it does not end'))])
      assert.equal(await lab.opens(server4, stranger4), 'timeout')
    } finally {
      child.kill('SIGKILL')
      // What it holds is never read, and would keep this process.
      child.stderr.destroy()
      await lab.remove()
    }
  })
})

/** Asks for a reload, and says whether the daemon refused it. */
function refusedReload(socket: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let text = ''
    const connection = net.connect(socket).setEncoding('utf8')
    connection.on('error', reject)
    connection.on('data', (chunk: string) => (text += chunk))
    connection.on('end', () => resolve(text.includes('"ok":false')))
    connection.end('{"request":"reload"}')
  })
}

/** The process ID of the daemon's `nft monitor`. */
async function monitorOf({ child }: Background): Promise<number> {
  const { stdout } = await run(['ps', '-o', 'pid=,args=', '--ppid', String(child.pid)])
  return Number(/^ *(\d+) .*nft monitor/m.exec(stdout)?.[1] ?? 0)
}
