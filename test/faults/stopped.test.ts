/** Each process of the daemon stands still in turn: the daemon itself, its monitor, and the nft that it has started. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { until } from '../support/commands.js'
import { ReconcileSite } from '../support/reconcile-site.js'
import { client4, server4, stranger4 } from '../support/lab.js'

describe('a process that stands still', () => {
  let site: ReconcileSite
  beforeEach(async () => {
    site = await ReconcileSite.create()
  })
  afterEach(() => site.lab.remove())

  it('the daemon: nothing opens, grants stay, commands say so, and what waited is answered', async () => {
    const { lab } = site
    await site.knock(server4, client4)
    await site.openTo(server4, client4)
    const { pid } = site.daemon.child
    assert.ok(pid)
    process.kill(pid, 'SIGSTOP')
    const asked = lab.pkctl('status')
    await site.closedTo(server4, stranger4)
    await site.openTo(server4, client4)
    const { status, stderr } = await asked
    assert.equal(status, 1)
    assert.match(stderr, /^pkctl: error: pkctld at \S+: no answer comes$/m)
    await site.knock(server4, stranger4)
    await site.closedTo(server4, stranger4)
    process.kill(pid, 'SIGCONT')
    await until(async () => (await lab.opens(server4, stranger4)) === 'open')
    await lab.mustPkctl('status')
  })

  it('nft monitor: the table is compared all the same, and comes back after a flush', async () => {
    const pid = site.monitor()
    assert.ok(pid)
    process.kill(pid, 'SIGSTOP')
    await site.nft('flush', 'ruleset')
    await until(async () => (await site.nft('list', 'ruleset')).includes('chain pk-ssh'))
    await site.closedTo(server4, stranger4)
    await site.knock(server4, client4)
    await site.openTo(server4, client4)
    await site.daemon.says(/nft monitor is started again: it does not report what changes/)
  })

  it('the nft that waits to close ports: a flush is undone without it, and another one waits then', async () => {
    // It is started when the daemon listens already.
    const standby = async (other?: number) => {
      let pid: number | undefined
      await until(() => (pid = site.session()) !== undefined && pid !== other)
      return pid as unknown as number
    }
    const pid = await standby()
    process.kill(pid, 'SIGSTOP')
    await site.nft('flush', 'ruleset')
    const flushedAt = performance.now()
    await until(async () => (await site.nft('list', 'ruleset')).includes('chain pk-ssh'))
    const seconds = (performance.now() - flushedAt) / 1000
    assert.ok(seconds < 5, `${seconds} s`)
    await site.closedTo(server4, stranger4)
    await site.knock(server4, client4)
    await site.openTo(server4, client4)
    await until(() => !fs.existsSync(`/proc/${pid}`))
    await standby(pid)
    await site.nft('flush', 'ruleset')
    await until(async () => (await site.nft('list', 'ruleset')).includes('chain pk-ssh'))
    await site.closedTo(server4, stranger4)
  })

  it('an nft that changes rules: it is killed, and the lock is free again', async () => {
    const { lab } = site
    await site.daemon.stop()
    const stop = path.join(lab.directory, 'stop')
    const script = [
      '#!/bin/sh',
      `case "$*" in *monitor*|*list*) ;; *) if [ -e ${stop} ]; then echo $$ >>${lab.directory}/stopped; kill -STOP $$; fi;; esac`,
      'PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin exec nft "$@"',
    ]
    lab.file('bin/nft', `${script.join('\n')}\n`, 0o755)
    site.daemon = lab.startDaemon(path.join(lab.directory, 'pkctl.yaml'), {
      env: { PATH: `${lab.directory}/bin:${process.env['PATH']}` },
    })
    await site.daemon.says(/the ruleset is watched/)
    fs.writeFileSync(stop, '')
    const reload = lab.pkctl('reload')
    await until(() => fs.existsSync(path.join(lab.directory, 'stopped')))
    await site.knock(server4, client4)
    await site.openTo(server4, client4)
    await site.closedTo(server4, stranger4)
    const { status, stderr } = await reload
    assert.equal(status, 1)
    assert.match(stderr, /nft.* did not end within 10 s and was killed/)
    fs.rmSync(stop)
    await lab.mustPkctl('reload')
    await lab.mustPkctl('add', stranger4, '--service', 'ssh')
    await site.openTo(server4, stranger4)
  })
})
