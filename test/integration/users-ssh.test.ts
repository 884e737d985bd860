/** From a server without an identity to a port that opens by an SSH key: what README.md shows. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { after, before, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { pkctl, until } from '../support/commands.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { OpenSsh } from '../support/openssh.js'

describe('a user with an SSH key', () => {
  let lab: Lab
  let openssh: OpenSsh
  let daemon: Background
  let config: string
  let line: string

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22, 80)
    openssh = new OpenSsh()
    fs.mkdirSync(openssh.path('.ssh'), { mode: 0o700 })
    for (const name of ['.ssh/id_ed25519', 'other']) openssh.key(name, '-t', 'ed25519')
    config = lab.config(
      'services: { ssh: { port: 22, window: 3600 }, web: { port: 80, window: 3600 } }\ncredentials:\n' +
        '  people: { type: ssh, authorized-keys: authorized_keys, revoked-keys: [revoked_keys, krl], opens: [ssh, web], rate: none }\n',
    )
  })
  after(async () => {
    openssh.remove()
    await lab.remove()
  })

  /** At the client, whose user has the home directory of the keys; ssh finds that by the password file. */
  const client = (...words: string[]) => {
    const passwords = lab.file('passwd', `root:x:0:0:root:${openssh.directory}:/bin/sh\n`, 0o644)
    const asHome = ['/bin/sh', '-c', `mount --bind ${passwords} /etc/passwd && exec "$@"`, 'sh']
    const env = {
      HOME: openssh.directory,
      XDG_CONFIG_HOME: undefined,
      SSH_AUTH_SOCK: undefined,
      SSH_ASKPASS: undefined,
    }
    return lab.from([...asHome, process.execPath, pkctl, ...words], { env })
  }

  it('is added and invited by one command, which makes the identity; the line has no secret', async () => {
    const key = openssh.path('.ssh/id_ed25519.pub')
    const { status, stdout, stderr } = await lab.pkctl(
      'invite',
      'alice',
      '--key',
      key,
      '--host',
      server4,
      '--config',
      config,
    )
    assert.equal(status, 0, stderr)
    assert.match(
      stderr,
      /hint: this server has an identity now.*\n.*hint: \S+revoked_keys is new, and empty.*\n.*hint: \S+krl is new.*\n.*hint: alice is a new/,
    )
    assert.match(stdout, /^pkctl:\/\/10\.77\.0\.1\?id=pk1:[\w-]{43}&services=ssh:22,web:80\n$/)
    line = stdout.trim()
    daemon = await lab.daemon(config)
  })

  it('joins by one command, which opens the port', async () => {
    assert.equal(await lab.opens(server4, client4), 'timeout')
    const { status, stdout, stderr } = await client('join', line, '--name', 'home')
    assert.equal(status, 0, stderr + daemon.output)
    assert.match(stdout, /^new host entry home in ~\/\.config\/pkctl\/hosts\.yaml\n[^]*port 22\/tcp is open/)
    await daemon.says(/knock by alice \(.*people\) from 10\.77\.0\.2 opens ssh/)
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
  })

  /** As another user, with another key and address. */
  const asBob = () => client('knock', 'home', '--ssh-key', openssh.path('other'), '--source', stranger4)
  const revoke = (name: string) => lab.pkctl('user', 'revoke', name, '--config', config, '--socket', lab.socket)

  it('loses the grants that run when revoked, after a restart of the daemon, too; others keep theirs', async () => {
    const key = openssh.path('other.pub')
    await lab.mustPkctl('user', 'add', 'bob', '--key', key, '--config', config)
    await daemon.says(/the keys of people are read: 2 keys/)
    assert.equal((await asBob()).status, 0)
    await until(async () => (await lab.opens(server4, stranger4)) === 'open')
    await daemon.stop('SIGKILL')
    daemon = await lab.daemon(config)
    assert.equal(await lab.opens(server4, client4), 'open')
    const { status, stdout, stderr } = await revoke('alice')
    assert.equal(status, 0, stderr)
    assert.match(stdout, /^alice may no longer knock for people with SHA256:\S+\n.*revoked_keys\n/)
    assert.match(stdout, /^10\.77\.0\.2 may no longer use ssh\n10\.77\.0\.2 may no longer use web\n$/m)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(await lab.opens(server4, client4, 80), 'timeout')
    assert.equal(await lab.opens(server4, stranger4), 'open')
    await daemon.says(/10\.77\.0\.2 may no longer use ssh: the grants of alice are revoked, at the request of root/)
  })

  it('opens nothing any more when revoked, without a reload', async () => {
    await client('knock', 'home')
    await daemon.says(/from 10\.77\.0\.2 refused: unknown key/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  it('keeps a grant that runs when its key comes into a KRL, and gets no other', async () => {
    const { length } = daemon.output
    openssh.must('-q', '-k', '-f', openssh.path('krl'), openssh.path('other.pub'))
    fs.copyFileSync(openssh.path('krl'), `${lab.directory}/krl`)
    await until(() => daemon.output.slice(length).includes('the keys of people are read'))
    await asBob()
    await until(() => /bob .* refused: its key or certificate is revoked/.test(daemon.output.slice(length)))
    assert.equal(await lab.opens(server4, stranger4), 'open')
  })

  it('is told which command revokes the grants where the daemon does not run', async () => {
    await daemon.stop()
    const { status, stderr } = await revoke('bob')
    assert.equal(status, 0, stderr)
    assert.match(
      stderr,
      /^pkctl: warning: grants of bob that run stay until their windows end: pkctld is not running.*\npkctl: hint: pkctl user revoke bob again, when pkctld runs/,
    )
    assert.equal(await lab.opens(server4, stranger4), 'open')
    daemon = await lab.daemon(config)
    const again = await revoke('bob')
    assert.equal(again.status, 0, again.stderr)
    assert.match(again.stdout, /^there is no user 'bob'\n10\.77\.0\.3 may no longer use ssh\n/)
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    const third = await revoke('bob')
    assert.deepEqual([third.stdout, third.stderr], ["nothing to do: there is no user 'bob'\n", ''])
    const fourth = await lab.pkctl('user', 'revoke', 'bob', '--config', config, '--socket', lab.socket, '--json')
    const { changed, revoked, kept } = JSON.parse(fourth.stdout) as Record<string, unknown>
    assert.deepEqual([changed, revoked, kept], [false, [], []])
  })

  it('who is limited to a service gets a line, and opens that one alone', async () => {
    const key = openssh.read('.ssh/id_ed25519.pub').trim().split(' ').slice(0, 2).join(' ')
    for (const list of ['revoked_keys', 'krl']) fs.writeFileSync(`${lab.directory}/${list}`, '')
    await lab.mustPkctl('user', 'add', 'ci', '--key', key, '--opens', 'web', '--config', config)
    const { stdout } = await lab.pkctl('invite', 'ci', '--host', server4, '--config', config)
    assert.match(stdout, /&services=web:80\n$/)
    await until(async () => {
      await client('knock', 'home')
      return (await lab.opens(server4, client4, 80)) === 'open'
    })
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })
})
