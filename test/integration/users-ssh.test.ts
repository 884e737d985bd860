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
      'services: { ssh: { port: 22, window: 30 }, web: { port: 80, window: 30 } }\ncredentials:\n' +
        '  people: { type: ssh, authorized-keys: authorized_keys, revoked-keys: revoked_keys, opens: [ssh, web], rate: none }\n',
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
      /hint: this server has an identity now.*\n.*hint: \S+revoked_keys is new, and empty.*\n.*hint: alice is a new/,
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

  it('opens nothing any more when revoked, without a reload', async () => {
    const { status } = await lab.pkctl('user', 'revoke', 'alice', '--config', config)
    assert.equal(status, 0)
    await until(async () => {
      await lab.mustPkctl('delete', client4, '--service', 'ssh')
      await client('knock', 'home')
      return (await lab.opens(server4, client4)) === 'timeout'
    })
  })

  it('who is limited to a service gets a line, and opens that one alone', async () => {
    const key = openssh.read('.ssh/id_ed25519.pub').trim().split(' ').slice(0, 2).join(' ')
    fs.writeFileSync(`${lab.directory}/revoked_keys`, '')
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
