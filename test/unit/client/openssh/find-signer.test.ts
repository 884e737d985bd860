/** Which key signs a knock, and its signature: with a real ssh-agent, ssh-keygen and `ssh -G`. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as net from 'node:net'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { AgentError, agentKeys } from '../../../../src/client/openssh/agent.js'
import { findSigner } from '../../../../src/client/openssh/find-signer.js'
import { parseSshConfig } from '../../../../src/client/openssh/ssh-config.js'
import { signedData } from '../../../../src/knock/openssh/index.js'
import { signatureNamespace } from '../../../../src/knock/pk1/signed.js'
import { execute } from '../../../../src/util/child-process.js'
import { UserError } from '../../../../src/util/user-error.js'
import { run } from '../../../support/commands.js'
import { blobOf, OpenSsh, softwareToken, withoutToken } from '../../../support/openssh.js'

const message = Buffer.from('the body of a knock')

describe('the signer of a knock', () => {
  let openssh: OpenSsh
  let agent: ChildProcess | undefined
  let said: string[]
  let asked: string[]
  const environment = { ...process.env }
  const names = ['HOME', 'SSH_AUTH_SOCK', 'SSH_ASKPASS', 'SSH_ASKPASS_REQUIRE', 'SSH_SK_PROVIDER', 'OTHER_AGENT']

  beforeEach(() => {
    openssh = new OpenSsh()
    said = []
    asked = []
    fs.mkdirSync(openssh.path('.ssh'), { mode: 0o700 })
    process.env['HOME'] = openssh.directory
    for (const name of ['SSH_AUTH_SOCK', 'SSH_ASKPASS', 'SSH_ASKPASS_REQUIRE'])
      Reflect.deleteProperty(process.env, name)
    if (softwareToken !== undefined) process.env['SSH_SK_PROVIDER'] = softwareToken
  })
  afterEach(async () => {
    if (agent?.exitCode === null && agent.kill()) await once(agent, 'exit')
    agent = undefined
    openssh.remove()
    for (const name of names) {
      const value = environment[name]
      if (value === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = value
    }
  })

  /** ssh reads the configuration below the home directory of the password file: the tests name another one. */
  const ssh: typeof execute = (file, args, ...rest) =>
    execute(file, ['-F', openssh.path('.ssh/config'), ...args], ...rest)
  const find = (wanted: Partial<Parameters<typeof findSigner>[0]> = {}) =>
    findSigner(
      { host: 'server', ...wanted },
      { execute: ssh, now: Date.now() / 1000, say: line => said.push(line), ask: line => asked.push(line) },
    )
  const configure = (...lines: readonly string[]) => openssh.write('.ssh/config', `Host server\n${lines.join('\n')}\n`)

  async function startAgent(): Promise<void> {
    const socket = openssh.path('agent')
    agent = spawn('ssh-agent', ['-D', '-a', socket, '-P', '/usr/lib/*,/usr/local/lib/*,/root/*'], { stdio: 'ignore' })
    process.env['SSH_AUTH_SOCK'] = socket
    // The socket is there before the agent listens; ssh-add ends with 2 until then.
    for (let tries = 0; tries < 500 && (await run(['ssh-add', '-l'])).status === 2; tries++)
      await new Promise(next => setTimeout(next, 20))
  }
  async function sshAdd(...args: readonly string[]): Promise<void> {
    const { status, stderr } = await run(['ssh-add', ...args], { cwd: openssh.directory })
    assert.equal(status, 0, stderr)
  }

  /** Signs, and asserts that pkctl and ssh-keygen accept the signature; resolves to the name of the key. */
  async function signs(wanted?: Parameters<typeof find>[0]) {
    const signer = await find(wanted)
    const { signature, statement } = await signer.sign(message)
    assert.ok(signer.key.verify(signedData(signatureNamespace, message), signature, statement))
    return signer
  }

  it('is a default file, without an agent and a configuration', async () => {
    configure()
    const key = openssh.key('.ssh/id_ed25519', '-t', 'ed25519')
    const signer = await signs()
    assert.deepEqual(signer.key.blob, blobOf(key))
    assert.equal(signer.from, openssh.path('.ssh/id_ed25519'))
    assert.equal(signer.certificate, undefined)
  })

  it('is an ECDSA key whose public half is in the private file alone', async () => {
    configure()
    const key = openssh.key('.ssh/id_ecdsa', '-t', 'ecdsa')
    fs.rmSync(openssh.path('.ssh/id_ecdsa.pub'))
    assert.deepEqual((await signs()).key.blob, blobOf(key))
  })

  it('is a key of the agent, and RSA keys are passed by', async () => {
    configure()
    openssh.key('rsa', '-t', 'rsa')
    const key = openssh.key('key', '-t', 'ecdsa')
    openssh.key('.ssh/id_ed25519', '-t', 'ed25519')
    await startAgent()
    await sshAdd('-q', 'rsa', 'key')
    const signer = await signs()
    assert.deepEqual(signer.key.blob, blobOf(key))
    assert.equal(signer.from, 'the ssh-agent')
  })

  it('is the key that the configuration names, or else the host entry, before others of the agent', async () => {
    configure('IdentityFile %d/wanted')
    openssh.key('other', '-t', 'ed25519')
    const wanted = openssh.key('wanted', '-t', 'ed25519')
    await startAgent()
    await sshAdd('-q', 'other')
    process.env['HOME'] = openssh.directory
    configure(`IdentityFile ${openssh.path('wanted')}`)
    assert.deepEqual((await signs()).key.blob, blobOf(wanted))
    const entry = openssh.key('entry', '-t', 'ed25519')
    assert.deepEqual((await signs({ identityFile: openssh.path('entry') })).key.blob, blobOf(entry))
    // The agent signs for a file of which it has the key.
    await sshAdd('-q', 'wanted')
    fs.rmSync(openssh.path('wanted'))
    assert.deepEqual((await signs()).key.blob, blobOf(wanted))
  })

  it('is not a key of the agent with IdentitiesOnly', async () => {
    configure('IdentitiesOnly yes', `IdentityFile ${openssh.path('missing')}`)
    openssh.key('other', '-t', 'ed25519')
    await startAgent()
    await sshAdd('-q', 'other')
    await assert.rejects(find(), /no SSH key can sign a knock for server/)
  })

  it('comes with the certificate beside it, one that is named, or one of the agent', async () => {
    configure()
    openssh.key('ca', '-t', 'ed25519')
    openssh.key('.ssh/id_ed25519', '-t', 'ed25519')
    const beside = blobOf(openssh.certificate('ca', '.ssh/id_ed25519', '-n', 'alice'))
    assert.deepEqual((await signs()).certificate?.blob, beside)
    fs.renameSync(openssh.path('.ssh/id_ed25519-cert.pub'), openssh.path('named-cert.pub'))
    assert.equal((await signs()).certificate, undefined)
    configure(`CertificateFile ${openssh.path('named-cert.pub')}`)
    assert.deepEqual((await signs()).certificate?.blob, beside)
    configure()
    fs.renameSync(openssh.path('named-cert.pub'), openssh.path('.ssh/id_ed25519-cert.pub'))
    await startAgent()
    await sshAdd('-q', '.ssh/id_ed25519')
    fs.rmSync(openssh.path('.ssh'), { recursive: true })
    fs.mkdirSync(openssh.path('.ssh'))
    configure()
    const signer = await signs()
    assert.deepEqual(signer.certificate?.blob, beside)
    assert.equal(signer.from, 'the ssh-agent')
  })

  it('comes without a certificate that is not valid at the moment, and says so', async () => {
    configure()
    openssh.key('ca', '-t', 'ed25519')
    openssh.key('.ssh/id_ed25519', '-t', 'ed25519')
    for (const [validity, reason] of [
      ['20200101:20210101', /'id of .*' is not used: it has expired/],
      ['20900101:20910101', /'id of .*' is not used: it is not yet valid/],
    ] as const) {
      openssh.certificate('ca', '.ssh/id_ed25519', '-n', 'alice', '-V', validity)
      said = []
      assert.equal((await signs()).certificate, undefined)
      assert.match(said.join(), reason)
    }
  })

  it('comes with the certificate that the host entry names, or not at all', async () => {
    configure()
    openssh.key('ca', '-t', 'ed25519')
    openssh.key('.ssh/id_ed25519', '-t', 'ed25519')
    openssh.key('second', '-t', 'ecdsa')
    const beside = blobOf(openssh.certificate('ca', '.ssh/id_ed25519', '-n', 'alice', '-V', '-1h:+1h'))
    fs.renameSync(openssh.path('.ssh/id_ed25519-cert.pub'), openssh.path('named-cert.pub'))
    openssh.certificate('ca', '.ssh/id_ed25519', '-n', 'bob')
    const certificateFile = openssh.path('named-cert.pub')
    assert.deepEqual((await signs({ certificateFile })).certificate?.blob, beside)
    // It tells which key is meant.
    configure(`IdentityFile ${openssh.path('second')}`)
    assert.equal((await signs()).key.type, 'ecdsa-sha2-nistp256')
    assert.deepEqual(
      (await signs({ certificateFile, identityFile: openssh.path('.ssh/id_ed25519') })).certificate?.blob,
      beside,
    )
    const refused = async (file: string, reason: string, identityFile?: string) => {
      said = []
      await assert.rejects(find({ certificateFile: openssh.path(file), identityFile }), error => {
        assert.ok(error instanceof UserError)
        assert.equal(error.message, `the certificate ${openssh.path(file)} cannot be used: ${reason}`)
        assert.match(error.hint ?? '', /take certificate out of the host entry/)
        return true
      })
      assert.deepEqual(said, [])
    }
    await refused('nowhere', 'the file does not exist')
    await refused('named-cert.pub', 'it is for another key than the one that signs', openssh.path('second'))
    await refused('second.pub', "'ecdsa-sha2-nistp256' is not a type of certificate")
    openssh.certificate('ca', '.ssh/id_ed25519', '-n', 'alice', '-V', '20200101:20210101')
    await refused('.ssh/id_ed25519-cert.pub', 'it has expired', openssh.path('.ssh/id_ed25519'))
  })

  it('is the key of a public half, which the agent or the file beside it has', async () => {
    configure()
    const key = openssh.key('.ssh/named', '-t', 'ed25519')
    openssh.key('.ssh/id_ed25519', '-t', 'ed25519')
    const identityFile = openssh.path('.ssh/named.pub')
    assert.deepEqual((await signs({ identityFile })).key.blob, blobOf(key))
    await startAgent()
    await sshAdd('-q', '.ssh/named')
    fs.rmSync(openssh.path('.ssh/named'))
    const signer = await signs({ identityFile })
    assert.deepEqual(signer.key.blob, blobOf(key))
    assert.equal(signer.from, 'the ssh-agent')
    await assert.rejects(find({ identityFile: openssh.path('.ssh/no') }), /\.ssh\/no does not exist/)
  })

  it('is that of the first name that the configuration has a key for', async () => {
    const key = openssh.key('other', '-t', 'ed25519')
    openssh.key('.ssh/id_ed25519', '-t', 'ed25519')
    openssh.write('.ssh/config', `Host other.example\nIdentityFile ${openssh.path('other')}\n`)
    assert.notDeepEqual((await signs({ host: 'home' })).key.blob, blobOf(key))
    assert.deepEqual((await signs({ host: 'home', otherName: 'other.example' })).key.blob, blobOf(key))
  })

  it('tells whether a person is asked for each signature', async () => {
    configure()
    openssh.key('plain', '-t', 'ed25519')
    openssh.must('-q', '-t', 'ed25519', '-N', 'open sesame', '-f', 'locked')
    openssh.must('-q', '-t', 'ecdsa', '-m', 'PEM', '-N', 'open sesame', '-f', 'pem')
    const asks = async (name: string) => (await find({ identityFile: openssh.path(name) })).asksPerson
    assert.deepEqual([await asks('plain'), await asks('locked'), await asks('pem')], [false, true, true])
  })

  it('asks for the passphrase through SSH_ASKPASS', async () => {
    configure()
    openssh.must('-q', '-t', 'ed25519', '-N', 'open sesame', '-f', '.ssh/id_ed25519')
    const askpass = (answer: string) => {
      fs.rmSync(openssh.path('askpass'), { force: true })
      fs.writeFileSync(openssh.path('askpass'), `#!/bin/sh\necho '${answer}'\n`, { mode: 0o700 })
      process.env['SSH_ASKPASS'] = openssh.path('askpass')
      process.env['SSH_ASKPASS_REQUIRE'] = 'force'
    }
    askpass('open sesame')
    await signs()
    askpass('wrong')
    const signer = await find()
    await assert.rejects(
      signer.sign(message),
      error =>
        error instanceof UserError && /the passphrase of .* is wrong, or there is no terminal/.test(error.message),
    )
  })

  it('a locked agent has no keys, and signs again when it is unlocked', async () => {
    configure()
    openssh.key('key', '-t', 'ed25519')
    await startAgent()
    await sshAdd('-q', 'key')
    const signer = await find()
    fs.writeFileSync(openssh.path('askpass'), '#!/bin/sh\necho lock\n', { mode: 0o700 })
    process.env['SSH_ASKPASS'] = openssh.path('askpass')
    process.env['SSH_ASKPASS_REQUIRE'] = 'force'
    await sshAdd('-x')
    await assert.rejects(find(), /no SSH key can sign a knock for server: the ssh-agent has no keys, or is locked/)
    await assert.rejects(signer.sign(message), /refuses to sign/)
    await sshAdd('-X')
    await signs()
  })

  it('an agent that is gone is named, and a file is used', async () => {
    configure()
    process.env['SSH_AUTH_SOCK'] = openssh.path('gone')
    await assert.rejects(find(), /: no ssh-agent listens on .*gone$/)
    openssh.key('.ssh/id_ed25519', '-t', 'ed25519')
    await signs()
  })

  it('a command of the configuration can see that pkctl evaluates it', async () => {
    const key = openssh.key('matched', '-t', 'ed25519')
    const condition = 'Match exec "test $PKCTL_READS_SSH_CONFIG = 1"'
    openssh.write('.ssh/config', `${condition}\nIdentityFile ${openssh.path('matched')}\n`)
    assert.deepEqual((await signs()).key.blob, blobOf(key))
    assert.equal(process.env['PKCTL_READS_SSH_CONFIG'], undefined)
  })

  it('IdentityAgent names another agent, or none', async () => {
    configure()
    openssh.key('key', '-t', 'ed25519')
    await startAgent()
    await sshAdd('-q', 'key')
    const socket = process.env['SSH_AUTH_SOCK'] ?? ''
    Reflect.deleteProperty(process.env, 'SSH_AUTH_SOCK')
    await assert.rejects(find(), /no SSH key can sign/)
    configure(`IdentityAgent ${socket}`)
    await signs()
    await assert.rejects(find({ identityAgent: 'none' }), /no SSH key can sign/)
    process.env['OTHER_AGENT'] = socket
    configure()
    await signs({ identityAgent: '$OTHER_AGENT' })
  })

  it('with a FIDO token: the touch is asked for in words', { skip: withoutToken }, async () => {
    configure()
    const key = openssh.key('.ssh/id_ed25519_sk', '-t', 'ed25519-sk')
    assert.deepEqual((await signs()).key.blob, blobOf(key))
    assert.deepEqual(asked, ['touch your security key to sign the knock'])
  })

  it('keys that sign no knock are named', async () => {
    configure()
    openssh.key('.ssh/id_rsa', '-t', 'rsa')
    await assert.rejects(find(), /id_rsa: an RSA key does not fit into a knock/)
    fs.writeFileSync(openssh.path('.ssh/id_ed25519.pub'), openssh.key('other', '-t', 'ed25519'))
    fs.rmSync(openssh.path('.ssh/id_rsa'))
    fs.rmSync(openssh.path('.ssh/id_rsa.pub'))
    await assert.rejects(find(), /id_ed25519 has no private key, and the ssh-agent does not have it/)
  })

  it('a host that looks like an option is refused', async () => {
    await assert.rejects(
      findSigner({ host: '-oProxyCommand=x' }, { execute, now: 0, say: () => undefined }),
      /is not the name of a host/,
    )
  })
})

describe('what listens where the agent should', () => {
  let openssh: OpenSsh
  before(() => (openssh = new OpenSsh()))
  after(() => openssh.remove())

  const answers: readonly [string, Buffer | undefined, string][] = [
    ['nothing, for long', undefined, 'silent'],
    ['an end', Buffer.alloc(0), 'malformed'],
    ['another protocol', Buffer.from('HTTP/1.1 400 Bad Request\r\n'), 'malformed'],
    ['an empty message', Buffer.from('00000000', 'hex'), 'malformed'],
    ['another kind of message', Buffer.from('0000000106', 'hex'), 'malformed'],
    ['fewer keys than it says', Buffer.from('000000050cffffffff', 'hex'), 'malformed'],
    ['bytes after its keys', Buffer.from('000000060c0000000000', 'hex'), 'malformed'],
    ['a failure', Buffer.from('0000000105', 'hex'), 'refused'],
  ]
  for (const [index, [name, answer, problem]] of answers.entries()) {
    it(`answers ${name}`, async () => {
      const socket = openssh.path(`socket-${index}`)
      const server = net.createServer(connection => {
        connection.on('error', () => undefined)
        if (answer?.length === 0) connection.end()
        else if (answer) connection.write(answer)
      })
      await new Promise<void>(listening => server.listen(socket, listening))
      try {
        await assert.rejects(
          agentKeys(socket, answer ? 30_000 : 50),
          error => error instanceof AgentError && error.problem === problem && error.socket === socket,
        )
      } finally {
        server.close()
      }
    })
  }
})

describe("ssh's configuration", () => {
  it('is read with its tokens', () => {
    const home = process.env['HOME'] ?? ''
    const config = parseSshConfig(
      [
        'hostname 192.0.2.1',
        'port 2222',
        'user alice',
        'identityfile ~/.ssh/%n-%h-%p-%r',
        'identityfile ~/.ssh/id_rsa',
        'certificatefile %d/a%%b',
        'identityagent none',
        'identitiesonly yes',
        '',
      ].join('\n'),
      'server',
    )
    assert.deepEqual(config, {
      hostName: '192.0.2.1',
      port: 2222,
      identityFiles: [
        { file: `${home}/.ssh/server-192.0.2.1-2222-alice`, isChosen: true },
        { file: `${home}/.ssh/id_rsa`, isChosen: false },
      ],
      certificateFiles: [`${home}/a%b`],
      agent: undefined,
      identitiesOnly: true,
    })
  })
})
