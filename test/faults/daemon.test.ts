/** What keeps the daemon from its work: a full queue, an nft that fails or hangs, a log that no program takes. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { rotatingSteps } from '../../src/knock/index.js'
import type { Background } from '../support/commands.js'
import { pkctl, until } from '../support/commands.js'
import { fakeTimeLibrary } from '../support/faketime.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

const services = 'services:\n  ssh: { port: 22, window: 600 }'
const plain = `${services}\ncredentials:\n  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }`

describe('a fault of what the daemon needs', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22)
  })
  afterEach(() => lab.remove())

  const send = () => ({ send: { host: server4, port: knockPort, from: client4, hex: knockHex() } })
  const connect = (from: string, timeout?: number) => ({
    connect: { host: server4, port: 22, from, ...(timeout === undefined ? {} : { timeout }) },
  })
  /** Who gets in behind a knock: the client, and a stranger. */
  async function knock(): Promise<(string | undefined)[]> {
    const [, client, stranger] = await lab.peer(send(), connect(client4), connect(stranger4))
    return [client?.result, stranger?.result]
  }

  /**
   * Lets programs that the daemon starts do something else while a file of the name `broken` is there: nft as a monitor, or
   * all others.
   */
  function breakable(program: string, instead: string, which: 'monitor' | 'others' = 'others'): NodeJS.ProcessEnv {
    const broken = path.join(lab.directory, 'broken')
    const [monitor, others] = which === 'monitor' ? [instead, ''] : ['', instead]
    const script = [
      '#!/bin/sh',
      `if [ -e ${broken} ]; then case "$*" in *monitor*) ${monitor};; *) ${others};; esac; fi`,
      `PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin exec ${program} "$@"`,
    ]
    lab.file(`bin/${program}`, `${script.join('\n')}\n`, 0o755)
    return { PATH: `${lab.directory}/bin:${process.env['PATH']}` }
  }
  const breakIt = () => lab.file('broken', '')
  const mend = () => {
    fs.rmSync(path.join(lab.directory, 'broken'))
  }

  it('the queue is full: what does not fit opens nothing, and a source with a grant gets in', async () => {
    const limits = 'limits: { per-source: 1000, excess: 1000 }'
    const daemon = await lab.daemon(lab.config(`${plain}\nqueue: { max-length: 16 }\n${limits}`))
    assert.deepEqual(await knock(), ['open', 'timeout'])
    daemon.child.kill('SIGSTOP')
    const flood = Array.from({ length: 60 }, () => ({ send: { ...send().send, from: stranger4 } }))
    const outcomes = await lab.peer(send(), ...flood, connect(client4), connect(stranger4))
    assert.deepEqual(
      outcomes.slice(-2).map(({ result }) => result),
      ['open', 'timeout'],
    )
    daemon.child.kill('SIGCONT')
    assert.match(await lab.mustPkctl('status'), /[1-9]\d* unanswered/)
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    await lab.pkctl('delete', stranger4, '--service', 'ssh')
    assert.deepEqual(await knock(), ['open', 'timeout'])
  })

  it(
    'the sequences of an hour cannot be installed: those of the last one stay valid, until it is possible',
    { skip: fakeTimeLibrary === '' && 'there is no faketime' },
    async () => {
      const now = Math.floor(Date.now() / 1000)
      const turn = (Math.ceil(now / 3600) + 1) * 3600
      const clock = lab.file('clock', `+${turn - 1800 - now}`)
      const hourly =
        '{ type: rotating, open-secret: "123", digest: md5, range: 10000-20000, opens: [ssh], timeout: 60, grace: 0 }'
      const daemon = lab.startDaemon(lab.config(`${services}\ncredentials:\n  hourly: ${hourly}`), {
        env: {
          ...{
            LD_PRELOAD: fakeTimeLibrary,
            FAKETIME_TIMESTAMP_FILE: clock,
            FAKETIME_NO_CACHE: '1',
            DONT_FAKE_MONOTONIC: '1',
          },
          ...breakable('nft', 'echo out of order >&2; exit 1'),
        },
      })
      await daemon.says(/listening on queue/)
      breakIt()
      fs.writeFileSync(clock, `+${turn - now}`)
      await daemon.says(/the sequences of this hour could not be put in place, and it will be tried again/)
      const steps = (hour: number) =>
        rotatingSteps({ secret: '123', digest: 'md5', first: 10_000, last: 20_000 }, hour).map(({ port }) => ({
          connect: { host: server4, port, from: client4, timeout: 20 },
        }))
      const opensFor = async (hour: number) => (await lab.peer(...steps(hour), connect(client4))).at(-1)?.result
      assert.equal(await opensFor(turn), 'timeout')
      assert.equal(await opensFor(turn - 3600), 'open')
      mend()
      await lab.mustPkctl('delete', client4, '--service', 'ssh')
      await until(async () => (await opensFor(turn)) === 'open')
      assert.equal(await lab.opens(server4, stranger4), 'timeout')
    },
  )

  it(
    'the clock jumps ahead and back: the sequences of the hour that it shows count, and no other ones',
    { skip: fakeTimeLibrary === '' && 'there is no faketime' },
    async () => {
      const now = Math.floor(Date.now() / 1000)
      const first = (Math.ceil(now / 3600) + 1) * 3600
      const at = (hour: number) => `+${hour + 1800 - now}`
      const clock = lab.file('clock', at(first))
      const hourly =
        '{ type: rotating, open-secret: "123", digest: md5, range: 10000-20000, opens: [ssh], timeout: 60, grace: 0 }'
      const daemon = lab.startDaemon(lab.config(`${services}\ncredentials:\n  hourly: ${hourly}`), {
        env: {
          LD_PRELOAD: fakeTimeLibrary,
          ...{ FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_NO_CACHE: '1', DONT_FAKE_MONOTONIC: '1' },
        },
      })
      await daemon.says(/running grants are known/)
      const opensFor = async (hour: number) => {
        const sequence = rotatingSteps({ secret: '123', digest: 'md5', first: 10_000, last: 20_000 }, hour)
        const steps = sequence.map(({ port }) => ({ connect: { host: server4, port, from: client4, timeout: 20 } }))
        return (await lab.peer(...steps, connect(client4))).at(-1)?.result
      }
      assert.equal(await opensFor(first), 'open')
      await lab.mustPkctl('delete', client4, '--service', 'ssh')
      const later = first + 5 * 3600
      for (const [shown, other, said] of [
        [later, first, /the clock was set ahead by \d+ s/],
        [first, later, /the clock was set back by \d+ s/],
      ] as const) {
        fs.writeFileSync(clock, at(shown))
        await daemon.says(said)
        assert.equal(await opensFor(other), 'timeout')
        await until(async () => (await opensFor(shown)) === 'open')
        await lab.mustPkctl('delete', client4, '--service', 'ssh')
      }
    },
  )

  it('iptables hangs, by which this kernel queues knocks: ports close again, doctor ends, and raises no false alarm', async t => {
    const env = breakable('iptables-nft-save', 'sleep 600')
    const daemon = lab.startDaemon(lab.config(plain), { env })
    await daemon.says(/listening on queue/)
    if ((await lab.mustPkctl('status', '--json')).includes('"native":true')) {
      t.skip('this kernel has the queue statement of nft')
      return
    }
    await until(async () => (await lab.mustPkctl('status', '--json')).includes('"watched":true'))
    breakIt()
    const found = await lab.on([process.execPath, pkctl, 'doctor', '--config', lab.config(plain), '--json'], { env })
    assert.match(
      found.stdout,
      /rules of iptables-nft could not be checked: iptables-nft-save did not end within 10 s and was killed/,
    )
    assert.doesNotMatch(found.stdout, /queue-rule-missing/)
    await lab.on(['/usr/sbin/nft', 'flush', 'ruleset'])
    await until(async () => (await lab.opens(server4, stranger4)) === 'timeout')
    await daemon.says(/iptables-nft-save -t mangle did not end within 10 s and was killed/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    mend()
    await until(async () => (await knock()).join() === 'open,timeout', 60_000)
  })

  it('logger ends, and a log file finds no space: knocks open, and stderr says so', async () => {
    const broken = breakable('logger', 'exit 3')
    breakIt()
    const daemon = lab.startDaemon(lab.config(plain, 'log: { level: debug, to: syslog }'), { env: broken })
    await until(async () => (await lab.pkctl('status')).status === 0)
    assert.deepEqual(await knock(), ['open', 'timeout'])
    await daemon.says(/the log cannot be written by logger, and it is started again: exit status 3/)
    await daemon.stop()
    const full = lab.startDaemon(lab.config(plain, 'log: { level: debug, to: /dev/full }'))
    await until(async () => (await lab.pkctl('status')).status === 0)
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    assert.deepEqual(await knock(), ['open', 'timeout'])
    await full.says(/the log \/dev\/full cannot be written: ENOSPC/)
  })

  describe('nft hangs under a service manager', () => {
    /** What it is told, a datagram on each line. */
    async function manager(which?: 'monitor'): Promise<readonly [heard: Background, env: NodeJS.ProcessEnv]> {
      const address = path.join(lab.directory, 'notify')
      const heard = lab.start('server', ['socat', '-u', `UNIX-RECV:${address}`, 'STDOUT'])
      await until(() => fs.existsSync(address))
      return [heard, { NOTIFY_SOCKET: address, WATCHDOG_USEC: '400000', ...breakable('nft', 'exec sleep 600', which) }]
    }

    it('while the daemon runs: the watchdog hears nothing more, and hears again when nft answers', async () => {
      const [heard, env] = await manager()
      const daemon = lab.startDaemon(lab.config(plain), { env })
      await heard.says(/READY=1[^]*WATCHDOG=1/)
      breakIt()
      await daemon.says(/the watchdog is not notified, because the ruleset could not be compared for \d+ s/, 120_000)
      const before = heard.output
      await new Promise(done => setTimeout(done, 1500))
      assert.equal(heard.output, before)
      assert.deepEqual(await knock(), ['open', 'timeout'], 'knocks open without nft')
      mend()
      await until(() => heard.output.slice(before.length).includes('WATCHDOG=1'), 60_000)
    })

    it('its monitor alone: the watchdog hears nothing more, a flush is undone, and it hears again when a monitor reports', async () => {
      const [heard, env] = await manager('monitor')
      const daemon = lab.startDaemon(lab.config(plain), { env })
      await heard.says(/READY=1[^]*WATCHDOG=1/)
      await daemon.says(/the ruleset is watched/)
      breakIt()
      const { stdout: monitor } = await lab.on(['pgrep', '-P', String(daemon.child.pid), '-f', '^nft .*monitor'])
      process.kill(Number(monitor), 'SIGSTOP')
      await daemon.says(/nft monitor is started again: it does not report what changes/, 120_000)
      await daemon.says(/the watchdog is not notified, because nft monitor has reported nothing for \d+ s/, 120_000)
      // What was sent before that may arrive later.
      let before = ''
      await until(async () => {
        before = heard.output
        await new Promise(done => setTimeout(done, 1500))
        return heard.output === before
      })
      await lab.on(['nft', 'flush', 'ruleset'])
      await until(async () => (await lab.opens(server4, stranger4)) === 'timeout', 30_000)
      assert.deepEqual(await knock(), ['open', 'timeout'])
      mend()
      await until(() => heard.output.slice(before.length).includes('WATCHDOG=1'), 60_000)
    })

    it('at its start: it is never ready, and the daemon ends with an error', async () => {
      const [heard, env] = await manager()
      breakIt()
      const daemon = lab.startDaemon(lab.config(plain), { env })
      assert.equal(await daemon.exited, 1, daemon.output)
      assert.match(daemon.output, /nft.* did not end within 10 s and was killed/)
      assert.doesNotMatch(heard.output, /READY|WATCHDOG/)
    })
  })
})
