/** `pkctl knock` with an SSH key: with real keys, agents and configurations of OpenSSH, read by a receiver of the test. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { formatIdentity } from '../../src/knock/pk1/identity.js'
import { newServerKey, decryptSigned, signatureNamespace } from '../../src/knock/pk1/signed.js'
import { parsePublicKey, signedData } from '../../src/knock/openssh/index.js'
import type { Background, Result } from '../support/commands.js'
import { pkctl, until } from '../support/commands.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'
import { blobOf, OpenSsh, softwareToken, withoutToken } from '../support/openssh.js'

const server = newServerKey(randomBytes)
const identity = formatIdentity(server.identity)
const port = 40_000

/** Prints each datagram: where it comes from, and its bytes. */
const receiver = `
const dgram = require('node:dgram')
const socket = dgram.createSocket({ type: 'udp6' })
socket.on('message', (bytes, { address }) => console.log('from', address, bytes.toString('hex')))
socket.bind(${port}, '::', () => console.log('receiving'))`

interface Received {
  readonly from: string
  readonly bytes: Buffer
}

describe('pkctl knock with an SSH key', () => {
  let lab: Lab
  let network: Background
  let openssh: OpenSsh
  let agent: Background | undefined
  let asHome: string[]
  const socket = () => openssh.path('agent')

  before(async () => {
    lab = await Lab.create()
    openssh = new OpenSsh()
    network = lab.start('server', [process.execPath, '-e', receiver])
    await network.says(/receiving/)
    // ssh finds its configuration by the password file, not by HOME: a namespace of mounts has another one.
    const passwords = lab.file('passwd', `root:x:0:0:root:${openssh.directory}:/bin/sh\n`, 0o644)
    asHome = ['/bin/sh', '-c', `mount --bind ${passwords} /etc/passwd && exec "$@"`, 'sh']
    for (const [name, ...options] of [
      ['ed', '-t', 'ed25519'],
      ['ec', '-t', 'ecdsa'],
      ['rsa', '-t', 'rsa', '-b', '2048'],
      ['ca', '-t', 'ed25519'],
    ])
      openssh.key(name as string, ...options)
    openssh.must('-q', '-t', 'ed25519', '-N', 'open sesame', '-f', 'locked')
    openssh.certificate('ca', 'ec', '-n', 'alice', '-V', '-1h:+1h')
  })
  after(async () => {
    openssh.remove()
    await lab.remove()
  })
  afterEach(async () => {
    await agent?.stop()
    agent = undefined
    for (const name of ['.ssh', '.config']) fs.rmSync(openssh.path(name), { recursive: true, force: true })
  })

  const configure = (file: string, text: string) => {
    fs.mkdirSync(path.dirname(openssh.path(file)), { recursive: true, mode: 0o700 })
    openssh.write(file, text)
  }
  const entry = (...options: readonly string[]) =>
    configure(
      '.config/pkctl/hosts.yaml',
      `work:\n  host: ${server4}\n  identity: "${identity}"\n  port: ${port}\n${options.map(each => `  ${each}\n`).join('')}`,
    )
  const environment = (more: NodeJS.ProcessEnv = {}) => ({
    HOME: openssh.directory,
    XDG_CONFIG_HOME: undefined,
    SSH_AUTH_SOCK: undefined,
    SSH_ASKPASS: undefined,
    ...(softwareToken !== undefined && { SSH_SK_PROVIDER: softwareToken }),
    ...more,
  })
  const run = (words: readonly string[], env?: NodeJS.ProcessEnv): Promise<Result> =>
    lab.from([...asHome, ...words], { env: environment(env) })
  const knock = (args: readonly string[] = [], env?: NodeJS.ProcessEnv) =>
    run([process.execPath, pkctl, 'knock', 'work', ...args], env)

  async function startAgent(...keys: readonly string[]): Promise<NodeJS.ProcessEnv> {
    fs.rmSync(socket(), { force: true })
    agent = lab.start('client', ['ssh-agent', '-D', '-a', socket()])
    const env = { SSH_AUTH_SOCK: socket() }
    await until(async () => (await lab.from(['ssh-add', '-l'], { env })).status !== 2)
    for (const key of keys) {
      const { status, stderr } = await lab.from(['ssh-add', '-q', openssh.path(key)], { env })
      assert.equal(status, 0, stderr)
    }
    return env
  }

  /** The datagrams that arrive while `work` is done: as many as are wanted, and one that the test sends itself. */
  async function received(work: () => Promise<unknown>): Promise<Received[]> {
    const from = network.output.length
    await work()
    const end = randomBytes(8).toString('hex')
    await lab.peer({ send: { host: server4, port, from: client4, hex: end } })
    await until(() => network.output.includes(end, from))
    return [...network.output.slice(from).matchAll(/^from (?:::ffff:)?(\S+) (\w+)$/gm)].flatMap(([, source, hex]) =>
      source === undefined || hex === undefined || hex === end
        ? []
        : [{ from: source, bytes: Buffer.from(hex, 'hex') }],
    )
  }

  /** What the one knock says that `pkctl knock` sends with success, signed by the key of this file. */
  async function knocked(key: string, args?: readonly string[], env?: NodeJS.ProcessEnv, said = /^$/) {
    const all = await received(async () => {
      const { status, stdout, stderr } = await knock(args, env)
      assert.equal(status, 0, stderr)
      assert.equal(stdout, '')
      assert.match(stderr, said)
    })
    assert.equal(all.length, 1)
    const [{ bytes, from }] = all as [Received]
    const opened = decryptSigned({ bytes, at: 0, length: bytes.length, port }, server)
    if (typeof opened === 'string') assert.fail(`refused by ${opened}`)
    const publicKey = parsePublicKey(blobOf(openssh.read(`${key}.pub`)))
    const { message, signature, flags, counter, signer } = opened
    const statement = publicKey.isToken ? { flags, counter } : undefined
    assert.ok(publicKey.verify(signedData(signatureNamespace, message), signature, statement), 'the signature')
    if ('fingerprint' in signer) assert.deepEqual(signer.fingerprint, publicKey.fingerprint)
    return { ...opened, length: bytes.length, from }
  }

  it('signs with a key file that the host entry names, and says nothing', async () => {
    entry(`ssh-key: ${openssh.path('ed')}`)
    const { length, request, from } = await knocked('ed')
    assert.equal(length, 256)
    assert.equal(from, client4)
    const { time, ...asked } = request
    assert.deepEqual(asked, { close: false, window: null, prefix: null, other: null, host: null, services: [] })
    assert.ok(Math.abs(Date.now() - Number(time)) < 60_000)
  })

  it('signs with the key that ssh uses for the name of the entry, or for its host', async () => {
    entry()
    for (const host of ['work', server4]) {
      configure('.ssh/config', `Host ${host}\n  IdentityFile ${openssh.path('ed')}\n`)
      await knocked('ed')
    }
  })

  it('knocks at the HostName that ssh has for a name without a host entry', async () => {
    configure('.ssh/config', `Host work\n  HostName ${server4}\n  IdentityFile ${openssh.path('ed')}\n`)
    await knocked('ed', ['--identity', identity, '--port', String(port)])
  })

  it('connects to the Port that ssh has for the name, or for the host of its entry', async () => {
    await lab.serve(2222)
    const connect = (...args: string[]) =>
      run([process.execPath, pkctl, 'connect', 'work', '--timeout', '3s', '--ssh-key', openssh.path('ed'), ...args])
    configure('.ssh/config', `Host work\n  HostName ${server4}\n  Port 2222\n`)
    const named = await connect('--identity', identity)
    assert.deepEqual([named.status, named.stderr], [0, ''])
    configure('.ssh/config', `Host ${server4}\n  Port 2222\n`)
    entry()
    const byHost = await connect()
    assert.deepEqual([byHost.status, byHost.stderr], [0, ''])
    entry('connect: 2223')
    assert.match((await connect()).stderr, /port 2223/, 'the entry comes first')
    assert.equal((await connect('2222')).status, 0, 'and the command line before it')
  })

  it('signs with a key of ssh-agent', async () => {
    entry()
    await knocked('ed', [], await startAgent('rsa', 'ed'))
  })

  it('shows a certificate, which needs 1024 bytes', async () => {
    entry(`ssh-key: ${openssh.path('ec')}`)
    const { length, signer } = await knocked('ec')
    assert.equal(length, 1024)
    assert.deepEqual(signer, { certificate: blobOf(openssh.read('ec-cert.pub')) })
  })

  it('asks for the touch of a security key, also with --quiet', { skip: withoutToken }, async () => {
    openssh.key('sk', '-t', 'ed25519-sk')
    entry('ssh-key: ~/sk')
    for (const flags of [[], ['--quiet']]) {
      const { flags: said } = await knocked(
        'sk',
        flags,
        {},
        /^pkctl: hint: touch your security key to sign the knock\n$/,
      )
      assert.equal(said & 1, 1)
    }
  })

  it('asks for a passphrase', async () => {
    entry('ssh-key: ~/locked')
    fs.writeFileSync(openssh.path('askpass'), "#!/bin/sh\necho 'open sesame'\n", { mode: 0o700 })
    await knocked('locked', [], { SSH_ASKPASS: openssh.path('askpass'), SSH_ASKPASS_REQUIRE: 'force' })
  })

  it('asks for services, a time, and another address', async () => {
    entry('ssh-key: ~/ed')
    const flags = ['--service', 'web', '--service', 'ssh', '--window', '8h', '--on-behalf-of', '192.0.2.7']
    const { request } = await knocked('ed', flags)
    const { time: _, ...asked } = request
    const host = Buffer.from([192, 0, 2, 7])
    assert.deepEqual(asked, { close: false, window: 28_800, prefix: null, other: null, host, services: ['ssh', 'web'] })
  })

  it('asks to close with --close', async () => {
    entry('ssh-key: ~/ed')
    assert.equal((await knocked('ed', ['--close', '--service', 'ssh'])).request.close, true)
  })

  it('needs no host entry', async () => {
    const words = ['--identity', identity, '--ssh-key', '~/ed', '--port', String(port)]
    const all = await received(async () => {
      const { status, stderr } = await run([process.execPath, pkctl, 'knock', server4, ...words])
      assert.equal(status, 0, stderr)
    })
    assert.deepEqual(
      all.map(({ bytes }) => typeof decryptSigned({ bytes, at: 0, length: bytes.length, port }, server)),
      ['object'],
    )
  })

  it('is symmetric with --key-file', async () => {
    entry()
    const keyFile = openssh.write('symmetric', `0x${'5a'.repeat(32)}\n`)
    const all = await received(() => knock(['--key-file', keyFile]))
    assert.deepEqual(
      all.map(({ bytes }) => bytes.length),
      [160],
    )
  })

  describe('under Match exec of ssh', () => {
    const program = `${process.execPath} ${pkctl}`
    const match = () =>
      configure(
        '.ssh/config',
        `Match originalhost work exec "${program} knock --quiet work"\n  IdentityFile ${openssh.path('ec')}\n`,
      )

    it('knocks once before ssh connects, with the key that the Match brings', async () => {
      entry()
      match()
      const all = await received(async () => {
        const { status, stdout, stderr } = await run(['ssh', '-G', 'work'])
        assert.equal(status, 0, stderr)
        assert.doesNotMatch(stderr, /pkctl/)
        assert.match(stdout, /^identityfile .*\/ec$/m)
      })
      assert.deepEqual(
        all.map(({ bytes }) => bytes.length),
        [1024],
      )
    })

    it('knocks once when pkctl asks ssh', async () => {
      entry()
      match()
      assert.equal((await knocked('ec')).length, 1024)
    })

    it('makes no connection meanwhile', async () => {
      const { status, stdout, stderr } = await run([process.execPath, pkctl, 'connect', 'work', '22'], {
        PKCTL_READS_SSH_CONFIG: '1',
      })
      assert.deepEqual({ status, stdout }, { status: 1, stdout: '' })
      assert.match(stderr, /^pkctl: error: pkctl connect was started by pkctl's own ssh -G, and does not connect\n$/)
    })
  })

  describe('from --source', () => {
    for (const [source, flags, want] of [
      [stranger4, [], stranger4],
      ['c0', [], client4],
      ['c0', ['-4'], client4],
    ] as const) {
      it(`${source}${flags.join(' ')}`, async () => {
        entry('ssh-key: ~/ed')
        assert.equal((await knocked('ed', ['--source', source, ...flags])).from, want)
      })
    }

    it('tells that the machine does not have the address, also with a sequence', async () => {
      entry('ssh-key: ~/ed')
      for (const ports of [[], ['7000'], ['7000:udp']]) {
        const { status, stderr } = await knock([...ports, '--source', '192.0.2.9'])
        assert.equal(status, 1)
        assert.match(stderr, /: no knock could be sent to 10\.77\.0\.1: this machine does not have 192\.0\.2\.9\n/)
      }
      const other = await knock(['--source', stranger6])
      assert.equal(other.status, 1)
      assert.match(other.stderr, /fd77::3 has no address for IPv4, which 10\.77\.0\.1 has/)
    })

    it('sends over the version of IP that the address has', async () => {
      const hosts = lab.file('hosts', `${server4} server.lab\n${server6} server.lab\n`)
      const words = ['knock', 'server.lab', '--tag', 'SSHK', '--key-env', 'KEY', '--port', String(port), '--source']
      const sources = async (source: string) => {
        const named = ['/bin/sh', '-c', `mount --bind ${hosts} /etc/hosts && exec "$@"`, 'sh']
        const all = await received(async () => {
          const argv = [...named, process.execPath, pkctl, ...words, source]
          const { status, stderr } = await lab.from(argv, { env: { KEY: 'x' } })
          assert.equal(status, 0, stderr)
        })
        return all.map(({ from }) => from)
      }
      assert.deepEqual(await sources(stranger6), [stranger6])
      assert.deepEqual(await sources(stranger4), [stranger4])
      const [four, six, ...more] = (await sources('c0')).sort()
      assert.equal(four, client4)
      assert.ok([client6, stranger6].includes(six ?? ''), six)
      assert.deepEqual(more, [])
    })
  })

  const agentless = { SSH_AUTH_SOCK: '/nowhere/agent' }
  const mistakes: readonly [string, string[], () => Promise<NodeJS.ProcessEnv> | NodeJS.ProcessEnv, RegExp, RegExp][] =
    [
      ['no key', [], () => ({}), /no SSH key can sign a knock for work$/, /ssh-keygen -t ed25519 makes a key/],
      ['no agent', [], () => agentless, /no ssh-agent listens on \/nowhere\/agent$/, /ssh-add/],
      ['a key that is not there', ['ssh-key: ~/no'], () => ({}), /\/no does not exist$/, /ssh-keygen/],
      [
        'an RSA key',
        ['ssh-key: ~/rsa'],
        () => ({}),
        /rsa: an RSA key does not fit into a knock; use an Ed25519/,
        /the server needs its public half/,
      ],
      [
        'RSA keys alone',
        [],
        () => startAgent('rsa'),
        /an RSA key does not fit into a knock; use an Ed25519/,
        /ssh-keygen -t/,
      ],
      ['a locked agent', [], lockedAgent, /the ssh-agent has no keys, or is locked$/, /ssh-add -X unlocks it/],
      [
        'a key for others to read',
        ['ssh-key: ~/wide'],
        () => ({}),
        /wide can be read by other users/,
        /chmod 600 .*wide/,
      ],
      [
        'a passphrase without a terminal',
        ['ssh-key: ~/locked'],
        () => ({}),
        /the passphrase of .*locked is wrong, or/,
        /ssh-add/,
      ],
      [
        'an expired certificate',
        ['ssh-key: ~/ed', 'certificate: ~/old-cert.pub'],
        () => ({}),
        /cannot be used: it has expired$/,
        /ask for a new one/,
      ],
      ['an identity that is none', ['identity: pk1:no'], () => ({}), /the identity .* is not one$/, /keygen --server/],
    ]
  async function lockedAgent(): Promise<NodeJS.ProcessEnv> {
    const env = await startAgent('ed')
    fs.writeFileSync(openssh.path('askpass'), '#!/bin/sh\necho lock\n', { mode: 0o700 })
    const asking = { ...env, SSH_ASKPASS: openssh.path('askpass'), SSH_ASKPASS_REQUIRE: 'force' }
    assert.equal((await lab.from(['ssh-add', '-x'], { env: asking })).status, 0)
    return env
  }
  before(() => {
    openssh.key('wide', '-t', 'ed25519')
    fs.chmodSync(openssh.path('wide'), 0o644)
    openssh.key('old', '-t', 'ed25519')
    fs.copyFileSync(openssh.path('ed.pub'), openssh.path('old.pub'))
    openssh.certificate('ca', 'old', '-n', 'alice', '-V', '20200101:20210101')
  })
  for (const [name, options, surroundings, error, hint] of mistakes) {
    it(`one clear line and a hint for ${name}, and nothing is sent`, async () => {
      const others = options.filter(option => !option.startsWith('identity'))
      entry(...others)
      const env = await surroundings()
      const words = options.length > others.length ? ['--identity', 'pk1:no'] : []
      const all = await received(async () => {
        const argv = ['setsid', '--wait', process.execPath, pkctl, 'knock', 'work', '--quiet', ...words]
        const { status, stdout, stderr } = await run(argv, env)
        assert.equal(status, 1, stderr)
        assert.equal(stdout, '')
        const [first = '', second = '', ...rest] = stderr.trimEnd().split('\n')
        assert.match(first, /^pkctl: error: /)
        assert.match(first, error)
        assert.match(second, /^pkctl: hint: /)
        assert.match(second, hint)
        assert.deepEqual(rest, [])
      })
      assert.deepEqual(all, [])
    })
  }

  it('pkctl connect tells at once that a knock cannot be signed', async () => {
    entry('ssh-key: ~/locked')
    const { status, stdout, stderr } = await run(['setsid', '--wait', process.execPath, pkctl, 'connect', 'work', '22'])
    assert.deepEqual({ status, stdout }, { status: 1, stdout: '' })
    assert.match(stderr, /^pkctl: error: the passphrase of .*\npkctl: hint: add the key to ssh-agent with ssh-add\n$/)
  })

  const misuses: readonly [string, string[], RegExp][] = [
    ['two keys', ['--ssh-key', '~/ed', '--key-file', 'x'], /--ssh-key excludes --key-file/],
    ['a tag', ['--tag', 'SSHK'], /a signed knock has no --tag/],
    ['a delay', ['--delay', '5'], /a signed knock is one packet/],
    ['a service that is none', ['--service', 'a b'], /cannot be the name of a service/],
    ['quiet and verbose', ['-q', '-v'], /--quiet and --verbose exclude/],
    ['a source of the other version', ['--source', stranger6, '-4'], /is an IPv6 address, and IPv4 is asked for/],
  ]
  for (const [name, args, error] of misuses) {
    it(`wrong usage: ${name}`, async () => {
      entry('ssh-key: ~/ed')
      const { status, stderr } = await knock(args)
      assert.equal(status, 2, stderr)
      assert.match(stderr, error)
    })
  }
})
