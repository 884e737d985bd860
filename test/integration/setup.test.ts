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
    assert.match(stdout, /undo all that unless you run pkctl confirm within 300 s/)
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
})
