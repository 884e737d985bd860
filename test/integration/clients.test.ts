/** The clients that need nothing installed, in `clients/`, against the daemon. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Background, Result } from '../support/commands.js'
import { must, root, until } from '../support/commands.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'
import { OpenSsh, softwareToken, withoutToken } from '../support/openssh.js'

const key = `0x${'5a'.repeat(32)}`

const clients = [
  { name: 'knock.py', command: ['python3', path.join(root, 'clients/knock.py')] },
  { name: 'knock.sh', command: ['sh', path.join(root, 'clients/knock.sh')] },
]

describe('clients', () => {
  let lab: Lab
  let keyFile: string
  let identity: string
  let daemon: Background
  const openssh = new OpenSsh()

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22, 80)
    keyFile = lab.file('key', `${key}\n`)
    identity = (await lab.mustPkctl('keygen', '--server', '--state-directory', `${lab.directory}/state`)).trim()
    const lines = [openssh.key('alice', '-t', 'ed25519'), openssh.key('bob', '-t', 'ecdsa')]
    if (softwareToken !== undefined) lines.push(openssh.key('token', '-t', 'ed25519-sk'))
    lab.file('authorized_keys', `${lines.join('\n')}\n`)
    lab.file('cas', `${openssh.key('ca', '-t', 'ed25519')}\n`)
    openssh.key('carol', '-t', 'ecdsa')
    openssh.certificate('ca', 'carol', '-n', 'ops', '-V', '-1h:+1h')
    daemon = await lab.daemon(
      lab.config(`services: { ssh: { port: 22, window: 600, reject: reset }, web: { port: 80, window: 600, reject: reset } }
credentials:
  phone: { type: pkd, tag: SSHK, key: "${key}", opens: [ssh], skew: 60 }
  device: { type: symmetric, key: "${key}", opens: [ssh, web], rate: none }
  staff: { type: ssh, authorized-keys: authorized_keys, ca-keys: cas, principals: [ops], opens: [ssh], rate: none }
`),
    )
  })
  after(async () => {
    openssh.remove()
    await lab.remove()
  })

  const granted = async (service = 'ssh') =>
    (await lab.mustPkctl('list', service)).match(/granted: (?!none)\S+/g)?.map(line => line.slice(9)) ?? []
  const forget = async () => {
    for (const service of ['ssh', 'web'])
      for (const source of await granted(service)) await lab.mustPkctl('delete', source, '--service', service)
  }

  for (const { name, command } of clients) {
    const knock = (...args: string[]): Promise<Result> => lab.from([...command, ...args])

    // From which of its addresses the client's machine sends is the choice of its kernel.
    for (const [family, host, sources] of [
      ['IPv4', server4, [client4, stranger4]],
      ['IPv6', server6, [client6, stranger6]],
    ] as const) {
      const open = async () => {
        const results = await Promise.all(sources.map(source => lab.opens(host, source)))
        return results.filter(result => result === 'open').length
      }

      it(`${name} opens a port by a PKD knock over ${family}`, async () => {
        for (const source of sources) await lab.mustPkctl('delete', source, '--service', 'ssh')
        assert.equal(await open(), 0)
        const { status, stderr } = await knock(host, '--pkd', 'SSHK', '--key-file', keyFile)
        assert.equal(stderr, '')
        assert.equal(status, 0)
        await until(async () => (await open()) === 1, 5000)
      })
    }

    it(`${name} opens by a symmetric knock, and closes again`, async () => {
      await forget()
      const key = ['--identity', identity, '--key-file', keyFile]
      const sends = async (...more: string[]) => {
        const { status, stderr } = await knock(server4, ...key, ...more)
        assert.deepEqual([status, stderr], [0, ''])
      }
      await sends()
      await until(async () => (await granted()).length + (await granted('web')).length === 2)
      await daemon.says(/knock by device from \S+ opens ssh for 600 s, web for 600 s/)
      await sends('--close')
      await until(async () => (await granted()).length + (await granted('web')).length === 0)
      await daemon.says(/knock by device from \S+ closes ssh, web/)
    })

    it(`${name} says in one line what is wrong, and ends with 2 for wrong arguments, else with 1`, async () => {
      const short = lab.file('short', '0x00\n')
      const empty = lab.file('empty', '\n')
      const cases: readonly [string[], number, RegExp][] = [
        [[], 2, /host/],
        [[server4, '--key-file', keyFile], 2, /--pkd/],
        [[server4, '--pkd', 'SSHK'], 2, /--key-file/],
        [[server4, '--pkd', 'SSHK', '--key-file', keyFile, '--port', '70000'], 2, /70000/],
        [[server4, '--pkd', 'SSHK', '--key-file', keyFile, '--close'], 2, /--close/],
        [[server4, '--pkd', 'SSHK', '--key-file', '/nowhere'], 1, /error: \/nowhere cannot be read/],
        [[server4, '--pkd', 'SSHK', '--key-file', empty], 1, /error: .*no key in its first line/],
        [[server4, '--pkd', 'SSHKK', '--key-file', keyFile], 1, /error: the tag has 5 bytes, and at most 4/],
        [[server4, '--identity', 'pk1:short', '--key-file', keyFile], 1, /error: that is not an identity/],
        [[server4, '--identity', `pk1:${'A'.repeat(43)}`, '--key-file', short], 1, /error: the key is not 32 bytes/],
      ]
      for (const [args, status, message] of cases) {
        const result = await knock(...args)
        assert.equal(result.status, status, args.join(' '))
        assert.match(result.stderr, message)
        assert.doesNotMatch(result.stderr, /Traceback/)
      }
    })
  }

  describe('knock.py', () => {
    const knock = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
      lab.from(['python3', path.join(root, 'clients/knock.py'), server4, '--identity', identity, ...args], {
        env: { SSH_AUTH_SOCK: undefined, ...env },
      })
    async function opens(args: readonly string[], env?: NodeJS.ProcessEnv, says = ''): Promise<void> {
      await forget()
      const { status, stderr } = await knock([...args, '--connect', '22'], env)
      assert.deepEqual([status, stderr], [0, says])
      assert.equal((await granted()).length, 1)
    }

    it('asks by a symmetric knock for a service, a time, and nothing that is not opened', async () => {
      await forget()
      const { length } = daemon.output
      assert.equal((await knock(['--key-file', keyFile, '--service', 'web', '--window', '300'])).status, 0)
      await daemon.says(/knock by device from \S+ opens web for 300 s/)
      await until(async () => (await granted('web')).length === 1)
      assert.equal((await knock(['--key-file', keyFile, '--service', 'db'])).status, 0)
      await until(() => /device.* refused: asks for a service/.test(daemon.output.slice(length)))
      assert.equal((await knock(['--key-file', keyFile, '--other', '10.9.9.9'])).status, 0)
      await until(() => /device.* refused: asks for an address/.test(daemon.output.slice(length)))
      assert.deepEqual([await granted(), (await granted('web')).length], [[], 1])
    })

    for (const [how, name] of [
      ['an Ed25519 key file', 'alice'],
      ['a P-256 key file', 'bob'],
      ['a certificate', 'carol'],
    ] as const) {
      it(`opens by a knock that ${how} signs`, () => opens(['--ssh-key', openssh.path(name)]))
    }

    it('opens by a knock that ssh-agent signs', async () => {
      const socket = openssh.path('agent')
      const agent = lab.start('client', ['ssh-agent', '-D', '-a', socket])
      const env = { SSH_AUTH_SOCK: socket }
      await until(async () => (await lab.from(['ssh-add', '-l'], { env })).status !== 2)
      await must(['ssh-add', '-q', openssh.path('alice')], { env })
      fs.renameSync(openssh.path('alice'), openssh.path('away'))
      try {
        await opens(['--ssh-key', `${openssh.path('alice')}.pub`], env)
      } finally {
        fs.renameSync(openssh.path('away'), openssh.path('alice'))
        await agent.stop()
      }
    })

    it('opens by a knock that a FIDO token signs, and says when to touch it', { skip: withoutToken }, () =>
      opens(
        ['--ssh-key', openssh.path('token')],
        softwareToken === undefined ? {} : { SSH_SK_PROVIDER: softwareToken },
        'knock.py: touch your security key to sign the knock\n',
      ),
    )
  })
})
