/** What happens to a change that waits for its confirmation: the machine reboots, or the process that would roll it back stands still. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { pkctl, sleep, until } from '../support/commands.js'
import { client4, Lab, server4 } from '../support/lab.js'

const services = 'services:\n  ssh: { port: 22, window: 30 }'

describe('a change that waits for its confirmation', () => {
  let lab: Lab
  let holder: Background
  let config: string
  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    const own = 'mount -t tmpfs tmpfs /run && echo ready && exec sleep 300'
    holder = lab.start('server', ['unshare', '--mount', 'sh', '-c', own])
    await holder.says(/ready/)
    config = lab.config(services)
  })
  afterEach(async () => {
    for (const id of waiting()) process.kill(id, 'SIGKILL')
    await lab.remove()
  })

  const inside = (...argv: string[]) => lab.on(['nsenter', `--target=${holder.child.pid}`, '--mount', ...argv])
  const pk = (...args: string[]) => inside(process.execPath, pkctl, ...args)
  /** The processes that would roll back. */
  const waiting = () =>
    fs
      .readdirSync('/proc')
      .filter(id => /^\d+$/.test(id))
      .filter(id => isIn(id, holder.child.pid ?? 0) && commandOf(id).includes('rollback'))
      .map(Number)
  const isOpen = () => lab.opens(server4, client4)

  /** Closes the port, and returns the process that would open it again. */
  async function apply(time: string): Promise<number> {
    const applied = await pk('apply', config, '--confirm', time)
    assert.equal(applied.status, 0, applied.stderr)
    const [id, ...more] = waiting()
    assert.ok(id !== undefined && more.length === 0)
    return id
  }

  it('the machine reboots while a change waits for its confirmation: the services are as before it, until it is confirmed', async () => {
    process.kill(await apply('1h'), 'SIGKILL')
    await inside('nft', 'flush', 'ruleset')
    await inside('sh', '-c', 'umount -l /run && mount -t tmpfs tmpfs /run')
    const closed = await pk('close', '--config', config)
    assert.deepEqual([closed.status, closed.stdout], [0, 'nothing to do: there are no services\n'])
    assert.match(closed.stderr, /a change was not confirmed before the machine restarted/)
    assert.equal(await isOpen(), 'open')
    assert.match(
      (await pk('rollback', '--config', config)).stderr,
      /still has the change: correct it, then run pkctl apply/,
    )
    const confirmed = await pk('confirm', '--config', config)
    assert.match(confirmed.stderr, /pkctld has not applied the change\n.*hint: pkctl apply /)
    assert.equal((await pk('close', '--config', config)).status, 0)
    assert.equal(await isOpen(), 'timeout')
    assert.match((await pk('confirm', '--config', config)).stderr, /no change waits to be confirmed/)
    await inside('nft', 'flush', 'ruleset')
    assert.equal((await pk('apply', config, '--confirm', '1s')).status, 0, 'the next change can be made')
  })

  it('its process stands still: each command says so and changes nothing, and it is confirmed when the process goes on', async () => {
    const id = await apply('1h')
    process.kill(id, 'SIGSTOP')
    const asked = await Promise.all([
      pk('confirm', '--config', config),
      pk('rollback', '--config', config),
      pk('apply', config, '--confirm', '1h'),
    ])
    for (const { status, stderr } of asked) {
      assert.equal(status, 1, stderr)
      assert.match(stderr, /^pkctl: error: the process that would roll the change back does not answer$/m)
      assert.match(stderr, /^pkctl: hint: pkill -CONT -x pkctl-rollback lets it go on/m)
    }
    assert.equal(await isOpen(), 'timeout')
    assert.deepEqual(waiting(), [id], 'no second one')
    assert.equal(fs.readFileSync(`/proc/${id}/comm`, 'utf8'), 'pkctl-rollback\n', 'what the hint names')
    process.kill(id, 'SIGCONT')
    const confirmed = await pk('confirm', '--config', config)
    assert.equal(confirmed.status, 0, confirmed.stderr)
    assert.equal(await isOpen(), 'timeout')
  })

  it('its process stands still, and has the only copy of the state before: no command says how to end it', async () => {
    const id = await apply('1h')
    const written = fs.readFileSync(`${config}.unconfirmed`)
    process.kill(id, 'SIGSTOP')
    const end = /pkill -KILL -x pkctl-rollback.*the grants that it would restore are lost/
    assert.match((await pk('apply', config)).stderr, end)
    fs.rmSync(`${config}.unconfirmed`)
    const asked = [pk('apply', config), pk('rollback', '--config', config), pk('confirm', '--config', config)]
    for (const { status, stderr } of await Promise.all(asked)) {
      assert.equal(status, 1, stderr)
      assert.match(stderr, /pkill -CONT -x pkctl-rollback lets it go on$/m)
    }
    fs.writeFileSync(`${config}.unconfirmed`, written)
    process.kill(id, 'SIGCONT')
    await until(async () => (await pk('rollback', '--config', config)).status === 0)
  })

  it('another command has written its change, and its process does not wait yet: no second one begins', async () => {
    process.kill(await apply('1h'), 'SIGKILL')
    await until(() => waiting().length === 0)
    const stat = fs.readFileSync('/proc/self/stat', 'latin1').split(/\) |\s/)
    const left = JSON.parse(fs.readFileSync(`${config}.unconfirmed`, 'utf8')) as object
    const written = JSON.stringify({ ...left, writer: `${process.pid} ${stat[21]}` })
    fs.writeFileSync(`${config}.unconfirmed`, written)
    fs.writeFileSync(config, `${services}\n  web: { port: 80 }\n`)
    const second = await pk('apply', config, '--confirm', '1h')
    assert.equal(second.status, 1, second.stderr)
    assert.match(second.stderr, /an earlier change is not confirmed yet/)
    assert.equal(fs.readFileSync(`${config}.unconfirmed`, 'utf8'), written)
    assert.deepEqual(waiting(), [])
    fs.writeFileSync(`${config}.unconfirmed`, JSON.stringify(left))
    assert.equal((await pk('apply', config, '--confirm', '1h')).status, 0, 'one that was left behind gives way')
  })

  it('its process stands still beyond its time: the change stays, and is rolled back when the process goes on', async () => {
    const id = await apply('2s')
    process.kill(id, 'SIGSTOP')
    await sleep(3000)
    assert.equal(await isOpen(), 'timeout')
    process.kill(id, 'SIGCONT')
    await until(async () => (await isOpen()) === 'open')
    await until(() => waiting().length === 0)
    assert.match((await pk('confirm', '--config', config)).stderr, /no change waits to be confirmed/)
  })

  it('its process stands still and is ended: the change can be rolled back', async () => {
    const id = await apply('1h')
    process.kill(id, 'SIGSTOP')
    process.kill(id, 'SIGKILL')
    await until(() => waiting().length === 0)
    const undone = await pk('rollback', '--config', config)
    assert.equal(undone.status, 0, undone.stderr)
    assert.equal(await isOpen(), 'open')
  })
})

const commandOf = (id: string) => readOr(`/proc/${id}/cmdline`) + readOr(`/proc/${id}/comm`)
function readOr(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
/** Whether a process is in the mount namespace of another. */
function isIn(id: string, other: number): boolean {
  try {
    return fs.readlinkSync(path.join('/proc', id, 'ns/mnt')) === fs.readlinkSync(`/proc/${other}/ns/mnt`)
  } catch {
    return false
  }
}
