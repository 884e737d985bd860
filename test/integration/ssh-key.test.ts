/** The knock that a key of OpenSSH signs: from keys of ssh-keygen to the open port, and to the log. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { findSigner } from '../../src/client/openssh/find-signer.js'
import { draftSigned, decryptSigned, readServerKey, serverKeyFile } from '../../src/knock/index.js'
import { formatIdentity, parseIdentity } from '../../src/knock/pk1/identity.js'
import { execute } from '../../src/util/index.js'
import type { Background } from '../support/commands.js'
import { must, pkctl, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4 } from '../support/lab.js'
import { OpenSsh } from '../support/openssh.js'
import type { SignedParts } from '../support/signed-knocks.js'
import { signedKnock } from '../support/signed-knocks.js'

const openssh = new OpenSsh()
after(() => {
  openssh.remove()
})
const keys = ['alice', 'bob', 'carol', 'stranger', 'staff-ca', 'other-ca'] as const
const lineOf = Object.fromEntries(
  keys.map(name => [name, openssh.key(name, '-t', name === 'bob' ? 'ecdsa' : 'ed25519')]),
) as Record<(typeof keys)[number], string>
const certified = (name: string, ca: string, ...options: string[]) => {
  openssh.key(name, '-t', 'ed25519')
  openssh.certificate(ca, name, ...options)
  return name
}

/** A server with one credential of type ssh, whose files the tests change. */
class Site {
  identity!: Buffer
  daemon!: Background
  config = ''

  constructor(readonly lab: Lab) {}

  static async create(services = 'opens: [ssh]', more = ''): Promise<Site> {
    const lab = await Lab.create()
    const site = new Site(lab)
    await lab.serve(22, 80)
    await lab.dropSecondSyns()
    const state = path.join(lab.directory, 'state')
    site.identity = parseIdentity(
      (await lab.mustPkctl('keygen', '--server', '--state-directory', state)).trim(),
    ) as Buffer
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--window', '3')
    await lab.mustPkctl('init', 'web', '--port', '80', '--syn', '--window', '3')
    site.write('authorized_keys', `${lineOf.alice}\n${lineOf.bob}\n`)
    site.write('cas', `${lineOf['staff-ca']}\n`)
    site.write('revoked', '')
    site.config = lab.config(
      `credentials:\n  staff: { type: ssh, authorized-keys: authorized_keys, ca-keys: [cas], revoked-keys: revoked, principals: [ops], ${services}, rate: none }\n  old: { type: pkd, tag: SSHK, key: test, opens: [ssh], rate: none }\n${more}`,
    )
    site.daemon = await lab.daemon(site.config)
    return site
  }

  write(name: string, content: string | Buffer): void {
    const file = path.join(this.lab.directory, name)
    fs.writeFileSync(`${file}.new`, content, { mode: 0o644 })
    fs.renameSync(`${file}.new`, file)
  }

  /** Writes the file, and waits until the daemon has noticed. */
  async change(name: string, content: string | Buffer, says: RegExp): Promise<void> {
    const { length } = this.daemon.output
    this.write(name, content)
    await until(() => says.test(this.daemon.output.slice(length)))
  }

  knock(name: string, parts: Partial<SignedParts> = {}): Promise<Buffer> {
    return signedKnock({ key: openssh.path(name), identity: this.identity, ...parts })
  }

  withCertificate = (name: string, parts: Partial<SignedParts> = {}) =>
    this.knock(name, { certificate: openssh.path(`${name}-cert.pub`), ...parts })

  /** What a connection finds that is made right after a knock that opens. */
  opensBy(knock: Buffer, { from = client4, host = server4, port = 22 } = {}): Promise<string> {
    return this.lab.opensBehind(send(knock, host, from), { host, port, from })
  }

  /** The same, where it opens nothing. */
  async triesBehind(knock: Buffer, from = client4): Promise<string | undefined> {
    const [, connected] = await this.lab.peer(send(knock, server4, from), {
      connect: { host: server4, port: 22, from },
    })
    return connected?.result
  }

  async counts(): Promise<{ accepted: number; refused: Record<string, number> }> {
    return (JSON.parse(await this.lab.mustPkctl('status', '--json')) as { knocks: never }).knocks
  }

  /** That the knock opens nothing, and is refused for this reason alone. */
  async refuses(reason: string, knock: Buffer, message: RegExp): Promise<void> {
    const before = await this.counts()
    const { length } = this.daemon.output
    assert.equal(await this.triesBehind(knock), 'timeout')
    await until(() => message.test(this.daemon.output.slice(length)))
    const now = await this.counts()
    assert.deepEqual([now.accepted, now.refused[reason]], [before.accepted, (before.refused[reason] ?? 0) + 1])
    assert.equal(await this.lab.opens(server4, client4), 'timeout')
  }

  async closed(): Promise<void> {
    await until(async () => (await this.lab.opens(server4, client4)) === 'timeout')
  }
}

const send = (bytes: Buffer, host = server4, from = client4) => ({
  send: { host, port: knockPort, from, hex: bytes.toString('hex') },
})

describe('a knock signed by an SSH key', () => {
  let site: Site
  before(async () => {
    const remote = 'type: ssh, authorized-keys: more_keys, opens: [web], max-window: 30, rate: none'
    site = await Site.create('opens: [ssh]', `  remote: { ${remote} }\n`)
  })
  after(() => site.lab.remove())

  for (const [name, user, host, from] of [
    ['Ed25519 over IPv4', 'alice', server4, client4],
    ['ECDSA P-256 over IPv6', 'bob', server6, client6],
  ] as const) {
    it(`${name}: opens at once, for its source alone, and is named in the log`, async () => {
      assert.equal(await site.lab.opens(host, from), 'timeout')
      assert.equal(await site.opensBy(await site.knock(user), { host, from }), 'open')
      assert.equal(await site.lab.opens(server4, stranger4), 'timeout')
      const line = await site.daemon.says(
        new RegExp(`knock by comment of ${user} \\(SHA256:[^,]+, staff\\) from ${from} opens ssh`),
      )
      const event = line.split('\n').find(one => one.includes(`"user":"comment of ${user}"`)) ?? '{}'
      const printed = openssh.must('-l', '-f', `${user}.pub`).toString().split(' ')[1]
      const { key, credential } = JSON.parse(event) as Record<string, string>
      assert.deepEqual([key, credential], [printed, 'staff'])
    })
  }

  it('opens without a retransmission, time after time', async () => {
    for (let i = 0; i < 20; i++) assert.equal(await site.opensBy(await site.knock('alice')), 'open', `knock ${i}`)
    await site.closed()
  })

  it('a copy opens nothing, also for another source', async () => {
    const knock = await site.knock('alice')
    assert.equal(await site.opensBy(knock), 'open')
    assert.equal(await site.triesBehind(knock, stranger4), 'timeout')
    await site.closed()
    await site.refuses('replayed', knock, /refused: replayed/)
  })

  it('is signed by the ssh-agent', async () => {
    const socket = openssh.path('agent.sock')
    const agent = site.lab.start('client', ['ssh-agent', '-D', '-a', socket])
    await until(() => fs.existsSync(socket))
    await must(['ssh-add', '-q', openssh.path('alice')], { env: { SSH_AUTH_SOCK: socket } })
    const signer = await findSigner(
      { host: 'server', identityFile: openssh.path('alice'), identityAgent: socket },
      { execute, now: Date.now() / 1000, say: () => undefined },
    )
    assert.equal(signer.from, 'the ssh-agent')
    assert.equal(await site.opensBy(await site.knock('alice', { sign: m => signer.sign(m) })), 'open')
    await agent.stop()
    await site.closed()
  })

  it('with a certificate: opens, and the log has its key id and serial', async () => {
    certified('dora', 'staff-ca', '-n', 'dora,ops', '-z', '7', '-V', '-1m:+5m')
    assert.equal(await site.opensBy(await site.withCertificate('dora')), 'open')
    const said = await site.daemon.says(/knock by ops \(SHA256:[^,]+, certificate 'id of dora' number 7, staff\)/)
    assert.match(said, /"key-id":"id of dora","serial":"7"/)
    await site.closed()
  })

  const refused: readonly [string, string, RegExp, () => Promise<Buffer>][] = [
    ['an unknown key', 'unknown-key', /refused: unknown key/, () => site.knock('stranger')],
    ['the key of a CA', 'unknown-key', /refused: unknown key/, () => site.knock('staff-ca')],
    [
      'a certificate of another CA',
      'unknown-key',
      /refused: unknown key/,
      () => site.withCertificate(certified('eve', 'other-ca', '-n', 'ops')),
    ],
    [
      'a certificate for other principals',
      'wrong-principal',
      /certificate 'id of fred'.* refused: its certificate names none/,
      () => site.withCertificate(certified('fred', 'staff-ca', '-n', 'dev')),
    ],
    [
      'an expired certificate',
      'certificate-expired',
      /refused: its certificate has expired/,
      () => site.withCertificate(certified('gina', 'staff-ca', '-n', 'ops', '-V', '20200101:20210101')),
    ],
    [
      'a certificate of times to come',
      'certificate-not-yet-valid',
      /refused: its certificate is not yet valid/,
      () => site.withCertificate(certified('hans', 'staff-ca', '-n', 'ops', '-V', '20900101:20910101')),
    ],
    [
      'a certificate for other addresses',
      'source-not-allowed',
      /refused: its key or certificate is for other/,
      () => site.withCertificate(certified('ida', 'staff-ca', '-n', 'ops', '-O', 'source-address=192.0.2.0/24')),
    ],
    [
      'a signature of another key',
      'bad-signature',
      /refused: bad signature/,
      async () => {
        const other = await findSigner(
          { host: 'server', identityFile: openssh.path('stranger'), identityAgent: 'none' },
          { execute, now: Date.now() / 1000, say: () => undefined },
        )
        return site.knock('alice', { sign: m => other.sign(m) })
      },
    ],
    [
      'a service that it does not open',
      'service-not-allowed',
      /refused: asks for a service/,
      () => site.knock('alice', { wishes: { services: ['web'] } }),
    ],
    [
      'a prefix',
      'prefix-not-allowed',
      /refused: asks for a prefix/,
      () => site.knock('alice', { wishes: { prefix: 24 } }),
    ],
    [
      'another host',
      'address-not-allowed',
      /refused: asks for an address/,
      () => site.knock('alice', { wishes: { host: Buffer.from([10, 77, 0, 3]) } }),
    ],
    [
      'another port',
      'not-opened',
      /refused: it could not be decrypted/,
      () => site.knock('alice', { port: knockPort + 1 }),
    ],
  ]
  for (const [what, reason, message, knock] of refused) {
    it(`with or for ${what}: opens nothing, and the log says why`, async () =>
      site.refuses(reason, await knock(), message))
  }

  it('cannot be made of a captured one with the key of the server, out of a stolen state directory', async () => {
    const captured = await site.knock('alice')
    assert.equal(await site.opensBy(captured), 'open')
    await site.closed()
    const state = path.join(site.lab.directory, 'state')
    const { identity, privateKey } =
      readServerKey(fs.readFileSync(path.join(state, serverKeyFile), 'utf8')) ?? assert.fail('no key of the server')
    assert.ok(identity.equals(site.identity))
    // Who has the key of the server reads the knock, and can seal it again; what alice has signed is this one alone.
    const place = { bytes: captured, at: 0, length: captured.length, port: knockPort }
    const opened = decryptSigned(place, { identity, privateKey })
    if (typeof opened === 'string') assert.fail(opened)
    const draft = draftSigned(opened.request, opened.signer, identity, knockPort, randomBytes)
    await site.refuses('bad-signature', draft?.seal(opened.signature) ?? assert.fail(), /refused: bad signature/)
  })

  it('with a byte changed does not come to the signature', async () => {
    const knock = await site.knock('alice')
    knock[100] = (knock[100] as number) ^ 1
    await site.refuses('bad-hash', knock, /refused: bad hash/)
  })

  it('closes what it has opened', async () => {
    assert.equal(await site.opensBy(await site.knock('alice')), 'open')
    const { length } = site.daemon.output
    await site.lab.peer(send(await site.knock('alice', { wishes: { close: true } })))
    await until(async () => (await site.lab.opens(server4, client4)) === 'timeout')
    assert.match(site.daemon.output.slice(length), /knock by comment of alice .* closes ssh/)
  })

  it('closes what it has opened by a command, and nothing that a command has opened', async () => {
    const close = async () => site.lab.peer(send(await site.knock('alice', { wishes: { close: true } })))
    const { length } = site.daemon.output
    const closed = (times: number) =>
      until(() => site.daemon.output.slice(length).split(' closes ssh').length === times + 1)
    const granted = async () => (await site.lab.mustPkctl('list', 'ssh')).match(/granted: (?!none)\S+/g)
    await site.lab.peer(send(await site.knock('alice', { wishes: { window: 2 } })))
    await until(async () => (await granted()) !== null)
    await close()
    await until(async () => (await granted()) === null)
    await site.lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '600')
    await close()
    await closed(2)
    // In turn behind it: what this knock is given comes after what that one has taken.
    await site.lab.peer(send(await site.knock('alice', { wishes: { window: 1, services: ['ssh'] } })))
    await site.daemon.says(/opens ssh for 1 s/)
    assert.equal(await site.lab.opens(server4, client4), 'open')
    assert.deepEqual(await granted(), [`granted: ${client4}`])
    await site.lab.mustPkctl('delete', client4, '--service', 'ssh')
    await site.closed()
  })

  it('is sent by pkctl knock', async () => {
    const identity = formatIdentity(site.identity)
    const words = [
      'knock',
      server4,
      '--identity',
      identity,
      '--ssh-key',
      openssh.path('alice'),
      '--port',
      String(knockPort),
    ]
    const { status, stderr } = await site.lab.from([process.execPath, pkctl, ...words], {
      env: { HOME: openssh.directory, SSH_AUTH_SOCK: '' },
    })
    assert.equal(status, 0, stderr)
    assert.equal(await site.lab.opens(server4, client4), 'open')
    await site.closed()
  })

  it('opens at once by a command, time after time', async () => {
    const wishes = { services: ['ssh'], window: 1 }
    for (let i = 0; i < 8; i++) {
      assert.equal(await site.opensBy(await site.knock('alice', { wishes })), 'open', `knock ${i}`)
      await site.closed()
    }
  })

  it('opens at once what several credentials open together, each as long as it allows', async () => {
    await site.change('more_keys', `${lineOf.alice}\n`, /the keys of remote are read: 1 key/)
    assert.equal(await site.opensBy(await site.knock('alice'), { port: 80 }), 'open')
    assert.equal(await site.lab.opens(server4, client4), 'open')
    await site.daemon.says(/knock by comment of alice \(SHA256:[^,]+, remote\) from 10\.77\.0\.2 opens web for 3 s/)
    await site.closed()
    await site.lab.peer(send(await site.knock('alice', { wishes: { services: ['ssh', 'web'], window: 900 } })))
    await site.daemon.says(/, remote\) from 10\.77\.0\.2 opens web for 30 s/)
    await until(async () => (await site.lab.opens(server4, client4, 80)) === 'open')
    await site.lab.peer(send(await site.knock('alice', { wishes: { close: true } })))
    for (const port of [22, 80]) await until(async () => (await site.lab.opens(server4, client4, port)) === 'timeout')
    await site.change('more_keys', '', /the keys of remote are read: 0 keys/)
  })

  it('cuts the window to what is asked for', async () => {
    await site.lab.peer(send(await site.knock('alice', { wishes: { window: 1 } })))
    await site.daemon.says(/opens ssh for 1 s/)
    await site.lab.peer(send(await site.knock('alice', { wishes: { window: 3600 } })))
    await site.daemon.says(/opens ssh for 3 s/)
    await site.closed()
  })
})

describe('files of keys', () => {
  let site: Site
  before(async () => (site = await Site.create('opens: [ssh, web], skew: 120')))
  after(() => site.lab.remove())
  const read = /the keys of staff are read: (\d+ keys?), (\d+ CAs?)/

  it('that change count without a reload: a key comes, and goes', async () => {
    await site.refuses('unknown-key', await site.knock('carol'), /unknown key/)
    await site.change('authorized_keys', `${lineOf.alice}\n${lineOf.carol}\n`, read)
    assert.equal(await site.opensBy(await site.knock('carol')), 'open')
    await site.closed()
    await site.change('authorized_keys', `${lineOf.alice}\n`, /read: 1 key, 1 CA/)
    await site.refuses('unknown-key', await site.knock('carol'), /unknown key/)
  })

  it('have options in their lines', async () => {
    const lines = [
      `opens="web",window="2s" ${lineOf.alice}`,
      `from="192.0.2.0/24" ${lineOf.bob}`,
      `expiry-time="20200101" ${lineOf.carol}`,
      `surprise ${lineOf.stranger}`,
    ]
    await site.change('authorized_keys', `${lines.join('\n')}\n`, /authorized_keys:4: the option 'surprise' is unknown/)
    await site.refuses('source-not-allowed', await site.knock('bob'), /is for other source addresses/)
    await site.refuses('key-expired', await site.knock('carol'), /expiry-time/)
    await site.refuses('unknown-key', await site.knock('stranger'), /unknown key/)
    await site.lab.peer(send(await site.knock('alice')))
    await site.daemon.says(/knock by comment of alice .* opens web for 2 s/)
    await until(async () => (await site.lab.opens(server4, client4, 80)) === 'open')
    assert.equal(await site.lab.opens(server4, client4), 'timeout')
    await until(async () => (await site.lab.opens(server4, client4, 80)) === 'timeout')
    await site.change('authorized_keys', `${lineOf.alice}\n`, read)
  })

  it('revoke a certificate while it is valid, by a KRL', async () => {
    certified('kim', 'staff-ca', '-n', 'ops', '-z', '42')
    certified('lou', 'staff-ca', '-n', 'ops', '-z', '43')
    assert.equal(await site.opensBy(await site.withCertificate('kim')), 'open')
    await site.closed()
    openssh.write('spec', 'serial: 42\n')
    openssh.must('-q', '-k', '-f', openssh.path('krl'), '-s', 'staff-ca.pub', 'spec')
    const before = site.daemon.output.length
    site.write('revoked', openssh.readBytes('krl'))
    await until(async () => {
      const { refused } = await site.counts()
      await site.lab.peer(send(await site.withCertificate('kim')))
      return (refused['revoked'] ?? 0) > 0
    })
    assert.ok(site.daemon.output.length > before)
    await site.closed()
    await site.refuses('revoked', await site.withCertificate('kim'), /refused: its key or certificate is revoked/)
    assert.equal(await site.opensBy(await site.withCertificate('lou')), 'open')
    await site.closed()
  })

  it('with a broken or missing list of revoked keys, no key counts', async () => {
    await site.change('revoked', 'nonsense\n', /revoked: line 1: .*no key of staff counts/)
    await site.refuses('revocations-unknown', await site.knock('alice'), /no key counts/)
    const { length } = site.daemon.output
    fs.rmSync(path.join(site.lab.directory, 'revoked'))
    await until(() => /revoked cannot be read: .*no key of staff counts/.test(site.daemon.output.slice(length)))
    await site.refuses('revocations-unknown', await site.knock('alice'), /no key counts/)
    await site.change('revoked', '', read)
    assert.equal(await site.opensBy(await site.knock('alice')), 'open')
    await site.closed()
  })

  it('are listed by pkctl check, with what each key opens', async () => {
    const lines = [
      `opens="web",window="2s" ${lineOf.alice}`,
      `expiry-time="20200101Z" ${lineOf.carol}`,
      lineOf.stranger,
    ]
    await site.change('authorized_keys', `${lines.join('\n')}\n`, read)
    site.write('revoked', `${lineOf.stranger}\n`)
    const { status, stdout, stderr } = await site.lab.pkctl('check', '--config', site.config)
    assert.equal(status, 0, stderr)
    const key = 'SHA256:[A-Za-z0-9+/]{43}'
    assert.match(stdout, new RegExp(`^staff: comment of alice ${key}: web, for at most 2 s$`, 'm'))
    assert.match(stdout, new RegExp(`^staff: comment of carol ${key}: ssh, web, until 2020-01-01T.*Z$`, 'm'))
    assert.match(stdout, new RegExp(`^staff: comment of stranger ${key}: revoked$`, 'm'))
    assert.match(stdout, new RegExp(`^staff: certificates of comment of staff-ca ${key}: ssh, web$`, 'm'))
    fs.chmodSync(path.join(site.lab.directory, 'authorized_keys'), 0o666)
    const loose = await site.lab.pkctl('check', '--config', site.config)
    assert.match(loose.stderr, /credentials\.staff: .*authorized_keys can be written by group or others/)
    await site.change('revoked', '', read)
    await site.change('authorized_keys', `${lineOf.alice}\n`, /read: 1 key, 1 CA/)
  })

  it('that others can write do not count', async () => {
    const file = path.join(site.lab.directory, 'authorized_keys')
    const { length } = site.daemon.output
    fs.chmodSync(file, 0o666)
    await until(() =>
      site.daemon.output.slice(length).includes('authorized_keys can be written by group or others (mode 0666)'),
    )
    await site.refuses('unknown-key', await site.knock('alice'), /unknown key/)
    fs.chmodSync(file, 0o644)
    await until(() => site.daemon.output.slice(site.daemon.output.lastIndexOf('0666')).includes('read: 1 key, 1 CA'))
    assert.equal(await site.opensBy(await site.knock('alice')), 'open')
    await site.closed()
  })

  it('remember a knock across a restart', async () => {
    const knock = await site.knock('alice')
    assert.equal(await site.opensBy(knock), 'open')
    await site.daemon.stop('SIGKILL')
    site.daemon = await site.lab.daemon(site.config)
    await site.closed()
    await site.refuses('replayed', knock, /refused: replayed/)
  })
})

/** Makes signatures wait for the file `slow` to go; where there is a file `die`, the thread ends. */
const preloaded = (slow: string, die: string) => `
const crypto = require('node:crypto')
const fs = require('node:fs')
const { verify } = crypto
crypto.verify = (...args) => {
  if (typeof args.at(-1) !== 'function') return verify(...args)
  if (fs.existsSync(${JSON.stringify(die)})) {
    fs.rmSync(${JSON.stringify(die)})
    setImmediate(() => { throw new Error('ended by the test') })
    return
  }
  const look = () => { fs.existsSync(${JSON.stringify(slow)}) ? setTimeout(look, 5) : verify(...args) }
  look()
}
require('node:module').syncBuiltinESMExports()
`

describe('a verification that takes long', () => {
  let site: Site
  let [slow, die, preload] = ['', '', '']
  const start = async () => {
    const daemon = site.lab.startDaemon(site.config, { env: { NODE_OPTIONS: `--require ${preload}` } })
    await daemon.says(/listening on queue/)
    return daemon
  }
  before(async () => {
    site = await Site.create()
    await site.daemon.stop()
    ;[slow, die] = ['slow', 'die'].map(name => path.join(site.lab.directory, name)) as [string, string]
    preload = site.lab.file('preload.cjs', preloaded(slow, die))
    site.daemon = await start()
  })
  after(() => site.lab.remove())

  const fast = () => {
    fs.rmSync(slow, { force: true })
  }
  beforeEach(async () => {
    fs.writeFileSync(slow, '')
    await site.closed()
  })

  it('holds its own packet and the connection behind it, and no others', async () => {
    let isAnswered = false
    const knock = await site.knock('alice')
    const held = site.opensBy(knock).finally(() => (isAnswered = true))
    const [, other] = await site.lab.peer(send(Buffer.from(knockHex(), 'hex'), server4, stranger4), {
      connect: { host: server4, port: 22, from: stranger4 },
    })
    const before = isAnswered
    fast()
    assert.deepEqual([other?.result, before], ['open', false], 'another knock is answered meanwhile')
    assert.equal(await held, 'open', 'the connection comes in behind its knock')
  })

  it('is refused a second time while it lasts', async () => {
    const knock = await site.knock('alice')
    const held = site.opensBy(knock)
    const { length } = site.daemon.output
    await site.lab.peer(send(knock, server4, stranger4))
    await until(() => site.daemon.output.slice(length).includes('from 10.77.0.3 refused: replayed'))
    fast()
    assert.equal(await held, 'open')
    assert.equal(await site.lab.opens(server4, stranger4), 'timeout')
  })

  it('is given up after some seconds', async () => {
    await site.refuses('signatures-late', await site.knock('alice'), /refused: its signature was not verified in time/)
    fast()
    assert.equal(await site.opensBy(await site.knock('alice')), 'open')
  })

  it('is given up at a reload, and at the end', async () => {
    const { length } = site.daemon.output
    const [reloaded, ended] = [await site.knock('alice'), await site.knock('bob')]
    await site.lab.peer(send(reloaded))
    await site.lab.mustPkctl('reload')
    await until(() => site.daemon.output.slice(length).includes('refused: signatures are not verified'))
    fast()
    assert.equal(await site.lab.opens(server4, client4), 'timeout')
    fs.writeFileSync(slow, '')
    await site.lab.peer(send(ended))
    assert.equal(await site.daemon.stop(), 0)
    assert.equal(await site.lab.opens(server4, client4), 'timeout')
    site.daemon = await start()
  })

  it('is started again when its thread dies', async () => {
    fast()
    const { length } = site.daemon.output
    const said = () => site.daemon.output.slice(length)
    fs.writeFileSync(die, '')
    await site.lab.peer(send(await site.knock('alice')))
    await until(() => /the thread that verifies signatures has ended.*ended by the test/.test(said()))
    await until(() => said().includes('refused: signatures are not verified'))
    await until(() => said().includes('signatures are verified again'))
    assert.equal(await site.lab.opens(server4, client4), 'timeout')
    assert.equal(await site.opensBy(await site.knock('alice')), 'open')
  })
})
