/** Files with keys of users on a file system that does not answer, and files that are swapped while the daemon reads them. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, afterEach, beforeEach, describe, it } from 'node:test'
import { parseIdentity } from '../../src/knock/pk1/identity.js'
import { ask } from '../../src/util/index.js'
import type { Background } from '../support/commands.js'
import { pkctl, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { OpenSsh } from '../support/openssh.js'
import { signedKnock } from '../support/signed-knocks.js'
import { startSwapping } from '../support/swapper.js'

const openssh = new OpenSsh()
after(() => {
  openssh.remove()
})
const alice = openssh.key('alice', '-t', 'ed25519')
const firstUid = 61_001

describe('a fault of files with keys', () => {
  let lab: Lab
  let keeper: Background
  let identity: Buffer

  beforeEach(async () => {
    lab = await Lab.create()
    fs.chmodSync(lab.directory, 0o755)
    await lab.serve(22)
    const made = await lab.mustPkctl('keygen', '--server', '--state-directory', path.join(lab.directory, 'state'))
    identity = parseIdentity(made.trim()) as Buffer
    lab.file('authorized_keys', `${alice}\n`, 0o644)
  })
  afterEach(() => lab.remove())

  /** Mounts of its own, with users of these names whose homes are below `home`. */
  async function withHomes(names: readonly string[], ...script: string[]): Promise<void> {
    fs.mkdirSync(path.join(lab.directory, 'home'))
    const users = names.map(
      (name, i) => `${name}:x:${firstUid + i}:${firstUid + i}::${lab.directory}/home/${name}:/bin/sh\n`,
    )
    const passwd = lab.file('passwd', `${fs.readFileSync('/etc/passwd', 'utf8')}${users.join('')}`, 0o644)
    const lines = [`mount --bind ${passwd} /etc/passwd`, ...script, 'echo ready', 'exec sleep infinity']
    keeper = lab.start('server', ['unshare', '--mount', '--propagation=private', 'sh', '-ec', lines.join('\n')])
    await keeper.says(/ready/)
  }
  const inside = (...argv: string[]) => ['nsenter', `--target=${keeper.child.pid}`, '--mount', '--net', ...argv]

  async function start(files: readonly string[]): Promise<Background> {
    const config = lab.config(
      [
        'services: { ssh: { port: 22, window: 600 } }',
        'credentials:',
        `  staff: { type: ssh, authorized-keys: [${files.join(', ')}], opens: [ssh] }`,
        '  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }',
      ].join('\n'),
    )
    const daemon = lab.start('server', inside(process.execPath, pkctl, 'daemon', '--config', config))
    await daemon.says(/listening on queue/)
    return daemon
  }

  const opensBy = async (hex: string) => {
    const [, client, stranger] = await lab.peer(
      { send: { host: server4, port: knockPort, from: client4, hex } },
      { connect: { host: server4, port: 22, from: client4 } },
      { connect: { host: server4, port: 22, from: stranger4 } },
    )
    return [client?.result, stranger?.result]
  }
  const bySsh = async () => (await signedKnock({ key: openssh.path('alice'), identity })).toString('hex')
  const revoke = () => lab.pkctl('delete', client4, '--service', 'ssh')

  it(
    'homes do not answer: other keys count and change, the daemon reloads and ends',
    { skip: !fs.existsSync('/dev/fuse') && 'there is no /dev/fuse' },
    async () => {
      // What this file system is asked for waits until the descriptor is closed: no process answers.
      const silent = 'mount -i -t fuse -o fd=3,rootmode=40755,user_id=0,group_id=0 silent'
      const names = ['una', 'dora', 'tria', 'quarta', 'quinta']
      await withHomes(names, 'exec 3<>/dev/fuse', `${silent} ${lab.directory}/home`)
      const daemon = await start(['authorized_keys', ...names.map(name => `~${name}/keys`)])
      await daemon.says(/credential staff: ~una\/keys cannot be read: its file system does not answer/)
      await daemon.says(/~quinta\/keys cannot be read: the file systems of other files do not answer/)
      assert.deepEqual(await opensBy(await bySsh()), ['open', 'timeout'])
      await revoke()
      assert.deepEqual(await opensBy(knockHex()), ['open', 'timeout'])
      await revoke()
      const reload = await lab.pkctl('reload')
      assert.deepEqual([reload.status, reload.stderr], [0, ''])

      lab.file('authorized_keys', '', 0o644)
      await daemon.says(/the keys of staff are read: 0 keys/)
      assert.deepEqual(await opensBy(await bySsh()), ['timeout', 'timeout'])

      assert.equal(await daemon.stop(), 0, daemon.output)
      assert.equal(await lab.opens(server4, client4), 'timeout')
    },
  )

  it('files are swapped while they are read: nothing of others is read, and the daemon goes on', async () => {
    const home = path.join(lab.directory, 'home/una')
    await withHomes(['una', 'dora'], `install -d -m 755 ${home}`)
    const [owner, other] = [firstUid, firstUid + 1]
    // Where it is read, the seventh line is complained of.
    const foreign = `${openssh.key('stranger', '-t', 'ed25519')}${'\n'.repeat(6)}no key\n`
    const own = `${alice}\n`
    const file = path.join(home, 'keys')
    const swapper = await startSwapping({ file, own, foreign, owner, other, withOther: true })
    const daemon = await start(['~una/keys'])
    for (let i = 0; i < 100; i++) {
      const asked = { request: 'revoke', user: 'una', keys: [], credential: null }
      assert.equal((await ask(lab.socket, asked)).ok, true)
    }
    await swapper.stop('SIGKILL')
    fs.rmSync(file, { force: true })
    fs.writeFileSync(file, own)
    fs.chownSync(file, owner, owner)
    await until(async () => (await opensBy(await bySsh()))[0] === 'open')
    assert.match(
      daemon.output,
      /keys(\.secret)? (cannot be read by the user|belongs to the user|is not a regular file|is being replaced)/,
    )
    assert.doesNotMatch(daemon.output, /keys:7|stranger/)
    assert.equal(await daemon.stop(), 0, daemon.output)
  })
})
