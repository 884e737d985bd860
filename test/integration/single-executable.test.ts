/** The client as one file with Node.js in it: scripts/single-executable.js. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { version } from '../../src/cli/version.js'
import { must, root } from '../support/commands.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { OpenSsh } from '../support/openssh.js'

const key = `0x${'5a'.repeat(32)}`

describe('the single executable', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-executable-test-'))
  const executable = path.join(folder, 'pkctl')
  const make = (project: string, file: string) =>
    must([process.execPath, path.join(project, 'scripts/single-executable.js'), file], { milliseconds: 120_000 })
  const openssh = new OpenSsh()
  let lab: Lab
  let identity: string

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    await make(root, executable)
  })
  after(async () => {
    fs.rmSync(folder, { recursive: true })
    openssh.remove()
    await lab.remove()
  })

  /** Where there is no Node.js, and no npm package. */
  const alone = (...args: string[]) => lab.from(['env', '-i', '-C', '/', 'HOME=/nonexistent', executable, ...args])

  it('knocks, and connects through the port that the knock opens', async () => {
    identity = (await lab.mustPkctl('keygen', '--server', '--state-directory', `${lab.directory}/state`)).trim()
    lab.file('authorized_keys', `${openssh.key('alice', '-t', 'ed25519')}\n`)
    await lab.daemon(
      lab.config(`services: { ssh: { port: 22, window: 600 } }
credentials:
  phone: { type: pkd, tag: SSHK, key: "${key}", opens: [ssh], skew: 60 }
  device: { type: symmetric, key: "${key}", opens: [ssh] }
  staff: { type: ssh, authorized-keys: authorized_keys, opens: [ssh] }
`),
    )
    assert.equal(await lab.opens(server4, client4), 'timeout')
    const keyFile = lab.file('key', `${key}\n`)
    const { status, stdout, stderr } = await alone(
      ...['knock', server4, '--tag', 'SSHK', '--key-file', keyFile, '--connect', '22'],
    )
    assert.equal(stderr, '')
    assert.match(stdout, /22.* open/)
    assert.equal(status, 0)
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
  })

  for (const [kind, keyOf] of [
    ['symmetric', () => ['--key-file', `${lab.directory}/key`]],
    ['signed', () => ['--ssh-key', openssh.path('alice')]],
  ] as const) {
    it(`knocks by a ${kind} knock, and relays the connection that comes with it`, async () => {
      await lab.mustPkctl('delete', client4, '--service', 'ssh')
      const knock = ['--identity', identity, ...keyOf()]
      // OpenSSH's programs sign.
      const path = `PATH=${process.env['PATH']}`
      const started = ['env', '-i', '-C', '/', path, 'HOME=/nonexistent', executable]
      const words = [...started, 'connect', server4, '22', ...knock]
      const { status, stderr } = await lab.from(words, { input: '' })
      assert.deepEqual([status, stderr], [0, ''])
      assert.match(await lab.mustPkctl('list', 'ssh'), /granted: 10\.77\.0\.2/)
    })
  }

  it('says that it cannot pass a connection', async () => {
    const words = ['connect', server4, '22', '--identity', identity, '--key-file', `${lab.directory}/key`, '--fdpass']
    const { status, stderr } = await alone(...words)
    assert.equal(status, 1)
    assert.match(
      stderr,
      /^pkctl: error: the library ffi-rs, which passes connections, cannot be loaded: this program does not have it\npkctl: hint: leave out --fdpass .*\n$/,
    )
  })

  it('has the commands of clients alone, and the version of the project', async () => {
    assert.equal((await alone('--version')).stdout, `${version}\n`)
    const { stdout } = await alone('--help')
    assert.deepEqual(
      Array.from(stdout.matchAll(/^ {2}([a-z]+) {2}/gm), ([, name]) => name),
      ['join', 'knock', 'connect', 'keygen', 'sequence', 'help'],
    )
    const refused = await alone('init', 'ssh')
    assert.deepEqual([refused.status, refused.stderr], [2, "pkctl: error: unknown command 'init'\n"])
  })

  it('has the same bytes when it is made in another folder', async () => {
    const copy = path.join(folder, 'copy')
    for (const name of ['dist/src', 'scripts', 'package.json']) {
      fs.cpSync(path.join(root, name), path.join(copy, name), { recursive: true })
    }
    fs.symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'))
    const again = path.join(folder, 'again')
    await make(copy, again)
    assert.ok(fs.readFileSync(again).equals(fs.readFileSync(executable)))
  })
})
