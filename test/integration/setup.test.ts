/** `pkctl setup`: questions on a terminal, answers by options, and all undone where it fails or is not confirmed. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Result } from '../support/commands.js'
import { must, pkctl, run, terminalEnvironment, until } from '../support/commands.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { startSshd } from '../support/sshd.js'

describe('pkctl setup', () => {
  let lab: Lab
  let pid: number | undefined
  let ssh: string[]
  let config: string
  const alice = () => ['--user', 'alice', '--key', path.join(lab.directory, 'user.pub'), '--host', 'server.example']
  const made = () =>
    ['conf.d/ssh.yaml', 'ssh.authorized_keys'].filter(name => fs.existsSync(path.join(lab.directory, name)))

  before(async () => {
    lab = await Lab.create()
    const { sshd, options } = await startSshd(lab)
    pid = sshd.child.pid
    ssh = ['ssh', ...options, `root@${server4}`]
    config = lab.config('services:\ncredentials:')
  })
  after(() => lab.remove())
  afterEach(async () => {
    await on([process.execPath, pkctl, 'confirm'])
    await on(['nft', 'destroy', 'table', 'inet', 'pkctl'])
    await on(['nft', 'delete', 'table', 'inet', 'pkctl'])
    for (const name of made()) fs.rmSync(path.join(lab.directory, name))
  })

  /** On the server, with the /run of its sshd. */
  const on = (argv: readonly string[], input = ''): Promise<Result> =>
    run(['nsenter', `--target=${pid}`, '--mount', '--net', ...argv], { input, env: terminalEnvironment })
  const setup = (...options: string[]) => on([process.execPath, pkctl, 'setup', '--config', config, ...options])

  it('asks on a terminal, proposes what it finds, and closes the port', async () => {
    const options = `--config ${config} --host server.example --confirm 5m --no-start`
    const answers = `no such user\nalice=${lab.directory}/user.pub\n\n`
    const { stdout } = await on(
      ['script', '-qec', `${process.execPath} ${pkctl} setup ${options}`, '/dev/null'],
      `\n${answers}`,
    )
    assert.match(stdout, /Programs listen at 22 \(sshd\)/)
    assert.match(stdout, /Which service, and its TCP port \[ssh=22\]\?/)
    assert.match(stdout, /this machine has no user 'no such user'/)
    assert.match(stdout, /let alice knock, with the given key/)
    assert.match(stdout, /undo all that unless you run pkctl confirm within 5 min/)
    assert.match(stdout, /at the client: {11}pkctl join 'pkctl:\/\/server\.example\?id=pk1:/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.deepEqual(made(), ['conf.d/ssh.yaml', 'ssh.authorized_keys'])
  })

  it('changes nothing where the last question is answered with no, or where the answers end', async () => {
    for (const answers of [`\nalice=${lab.directory}/user.pub\nn\n`, '\n\u0004']) {
      const command = `${process.execPath} ${pkctl} setup --config ${config} --host server.example; echo "status $?"`
      const { stdout } = await on(['script', '-qec', command, '/dev/null'], answers)
      assert.match(stdout, /nothing was changed[^]*status [12]/)
      assert.deepEqual(made(), [])
    }
    assert.equal(await lab.opens(server4, client4), 'open')
  })

  it('undoes all of it without a confirmation', async () => {
    const { status, stdout } = await setup('--yes', ...alice(), '--confirm', '1s', '--no-start')
    assert.equal(status, 0)
    assert.match(stdout, /without pkctl confirm within 1 s, all of this is undone/)
    await until(async () => made().length === 0 && (await lab.opens(server4, client4)) === 'open')
  })

  it('keeps the address of the ssh session in, and says in JSON what it did', async () => {
    const words = ['--config', config, '--yes', ...alice(), '--no-start', '--no-confirm', '--json']
    const { stdout } = await lab.from([...ssh, process.execPath, pkctl, 'setup', ...words])
    const { invitation, ...rest } = JSON.parse(stdout) as Record<string, unknown>
    const file = path.join(lab.directory, 'conf.d/ssh.yaml')
    const expected = { jsonVersion: 1, changed: true, file, service: 'ssh', port: 22, user: 'alice', started: false }
    assert.deepEqual(rest, expected)
    assert.match(String(invitation), /^pkctl:\/\/server\.example\?/)
    assert.deepEqual([await lab.opens(server4, client4), await lab.opens(server4, stranger4)], ['open', 'timeout'])
  })

  it('refuses a second time, and a configuration that would be wrong, and leaves nothing behind', async () => {
    const words = ['--yes', ...alice(), '--no-start', '--no-confirm']
    assert.equal((await setup(...words)).status, 0)
    const before = made().map(name => fs.readFileSync(path.join(lab.directory, name), 'utf8'))
    const again = await setup(...words)
    assert.deepEqual([again.status, again.stdout], [1, ''])
    assert.match(again.stderr, /error: .*conf\.d\/ssh\.yaml is there already\n.*hint: pkctl user add adds users/)
    assert.deepEqual(
      made().map(name => fs.readFileSync(path.join(lab.directory, name), 'utf8')),
      before,
    )
    const overlapping = await setup('--service', 'other=22', ...words)
    assert.match(overlapping.stderr, /service ssh of the configuration has port 22 already/)
    assert.deepEqual(fs.readdirSync(path.join(lab.directory, 'conf.d')), ['ssh.yaml'])
  })

  it('undoes all where pkctld does not start, also without a confirmation', async () => {
    lab.file('bin/systemctl', '#!/bin/sh\necho "Unit pkctld.service not found." >&2; exit 5\n', 0o755)
    const searched = `PATH=${lab.directory}/bin:${process.env['PATH']}`
    await must(['nsenter', `--target=${pid}`, '--mount', 'mkdir', '-p', '/run/systemd/system'])
    const words = ['setup', '--config', config, '--yes', ...alice(), '--confirm', '1s']
    const { status, stderr } = await on(['env', searched, process.execPath, pkctl, ...words])
    assert.equal(status, 1)
    assert.match(stderr, /pkctld does not start: systemctl enable .*: Unit pkctld\.service not found/)
    await until(async () => made().length === 0 && (await lab.opens(server4, client4)) === 'open')
  })

  // ---- What a rollback and a restart leave

  const marker = () => `${config}.unconfirmed`
  /** The change is then one of an earlier boot, and the process that waits is gone. */
  async function restart(): Promise<void> {
    const { stdout } = await on(['pgrep', '--full', '^pkctl-rollback'])
    for (const waiting of stdout.split('\n').filter(Boolean))
      if (isHere(waiting)) process.kill(Number(waiting), 'SIGKILL')
    const written = JSON.parse(fs.readFileSync(marker(), 'utf8')) as object
    fs.writeFileSync(marker(), JSON.stringify({ ...written, boot: 'an earlier one' }))
    await on(['nft', 'flush', 'ruleset'])
  }
  /** Undefined for a process of another file of tests that has ended since it was listed. */
  const mountOf = (id: string | number | undefined) => {
    try {
      return fs.readlinkSync(`/proc/${id}/ns/mnt`)
    } catch {
      return undefined
    }
  }
  const isHere = (id: string) => mountOf(id) === mountOf(pid)
  const pk = (...words: string[]) => on([process.execPath, pkctl, ...words])
  const waiting = ['--yes', '--confirm', '1h', '--no-start']

  it('leaves nothing of a first configuration for the next boot to close', async () => {
    await must(['nsenter', `--target=${pid}`, '--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/var/lib'])
    const first = path.join(lab.directory, 'first/pkctl.yaml')
    assert.equal((await pk('setup', '--config', first, ...alice(), ...waiting)).status, 0)
    assert.equal((await pk('close', '--config', first)).status, 0)
    const kept = () => on(['test', '-e', '/var/lib/pkctl/services.json'])
    assert.equal((await kept()).status, 0)
    assert.match((await pk('rollback')).stdout, /rolled back/)
    assert.deepEqual([fs.readdirSync(path.dirname(first)), (await kept()).status], [[], 1])
    await pk('close', '--config', first)
    assert.equal(await lab.opens(server4, client4), 'open')
    await must(['nsenter', `--target=${pid}`, '--mount', 'umount', '/var/lib'])
  })

  it('does not close the port after a restart without a confirmation, until pkctl confirm', async () => {
    await setup(...alice(), ...waiting)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    await restart()
    const close = await pk('close', '--config', config)
    assert.match(close.stderr, /a change was not confirmed before the machine restarted, so the services are as they/)
    assert.equal(await lab.opens(server4, client4), 'open')
    const daemon = lab.start('server', [
      ...['nsenter', `--target=${pid}`, '--mount', '--net'],
      ...[process.execPath, pkctl, 'daemon', '--config', config],
    ])
    await daemon.says(/listening on queue/)
    assert.equal(await lab.opens(server4, client4), 'open')
    const confirmed = await pk('confirm', '--config', config, '--socket', lab.socket)
    assert.deepEqual([confirmed.stdout, confirmed.stderr], ['the change from before the restart is kept\n', ''])
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(fs.existsSync(marker()), false)
    assert.equal(await daemon.stop(), 0)
  })

  it('is undone by pkctl rollback after a restart, too', async () => {
    await setup(...alice(), ...waiting)
    await restart()
    const { stdout } = await pk('rollback', '--config', config, '--socket', lab.socket)
    assert.match(stdout, /the services are as they were before the change/)
    assert.deepEqual([made(), fs.existsSync(marker())], [[], false])
  })

  it('is kept or undone also where the process that waits was killed, and leaves nothing where it was ended', async () => {
    const end = async (signal: NodeJS.Signals) => {
      const { stdout } = await on(['pgrep', '--full', '^pkctl-rollback'])
      for (const id of stdout.split('\n').filter(Boolean)) if (isHere(id)) process.kill(Number(id), signal)
    }
    await setup(...alice(), ...waiting)
    await end('SIGKILL')
    assert.match((await pk('rollback', '--config', config)).stdout, /^the change is rolled back: /)
    assert.deepEqual([made(), fs.existsSync(marker()), await lab.opens(server4, client4)], [[], false, 'open'])
    await setup(...alice(), ...waiting)
    await end('SIGTERM')
    await until(() => Promise.resolve(!fs.existsSync(marker())))
    assert.deepEqual([made(), await lab.opens(server4, client4)], [[], 'open'])
    await until(async () => (await setup(...alice(), ...waiting)).status === 0)
    await end('SIGKILL')
    assert.match((await pk('confirm', '--config', config)).stdout, /^the change is kept; the process that waited/)
    assert.deepEqual([fs.existsSync(marker()), await lab.opens(server4, client4)], [false, 'timeout'])
  })

  it('undoes all of it where the kernel has the service already', async () => {
    await pk('init', 'ssh', '--port', '22', '--syn')
    const { stdout } = await setup('--yes', ...alice(), '--confirm', '1s', '--no-start')
    assert.match(stdout, /without pkctl confirm within 1 s, all of this is undone/)
    await until(() => Promise.resolve(made().length === 0))
    assert.equal(await lab.opens(server4, client4), 'timeout', 'as it was')
  })

  it('leaves a file of keys as it was where a key is refused', async () => {
    const keys = lab.file('ssh.authorized_keys', fs.readFileSync(path.join(lab.directory, 'user.pub'), 'utf8'))
    const before = fs.readFileSync(keys, 'utf8')
    const { status, stderr } = await setup(...alice(), ...waiting)
    assert.equal(status, 1)
    assert.match(stderr, /the key is that of 'user' already/)
    assert.deepEqual(
      [fs.readFileSync(keys, 'utf8'), made(), fs.existsSync(marker())],
      [before, ['ssh.authorized_keys'], false],
    )
  })

  it('says how a daemon that runs learns of the user, and which other firewall keeps the port closed', async () => {
    const daemon = lab.start('server', [
      ...['nsenter', `--target=${pid}`, '--mount', '--net'],
      ...[process.execPath, pkctl, 'daemon', '--config', config],
    ])
    await daemon.says(/listening on queue/)
    const other = 'add table inet other; add chain inet other in { type filter hook input priority 0; policy drop; }'
    await on(['nft', other])
    const { stdout, stderr } = await setup(...alice(), ...waiting)
    await on(['nft', 'delete table inet other'])
    assert.match(stderr, /warning: .*drops what it does not accept.*\n.*hint: /)
    assert.match(stdout, /here: {20}pkctl reload, so that the pkctld that runs knows alice/)
    assert.equal(await daemon.stop(), 0)
  })

  it('grants the address of the ssh session access for the time of --for', async () => {
    const words = ['--config', config, '--yes', ...alice(), '--no-start', '--no-confirm', '--for', '1h']
    const { stdout } = await lab.from([...ssh, process.execPath, pkctl, 'setup', ...words])
    assert.match(stdout, /grant the address of your ssh session access, for 60 min\n/)
    assert.equal(await lab.opens(server4, client4), 'open')
    const none = await setup('--yes', ...alice(), '--no-start', '--for', '1h', '--no-allow-me')
    assert.match(none.stderr, /--for is for --allow-me, which is missing/)
  })
})
