/** From an SSH key of the client to the open port of a daemon, and a real ssh through it. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { must, pkctl, until } from '../support/commands.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'
import { OpenSsh, softwareToken, withoutToken } from '../support/openssh.js'
import { startSshd, user } from '../support/sshd.js'

describe('an SSH key opens the port of a daemon', () => {
  let lab: Lab
  let openssh: OpenSsh
  let ssh: string[]
  let daemon: Background
  let agent: Background | undefined
  let identity: string

  before(async () => {
    lab = await Lab.create()
    openssh = new OpenSsh()
    ssh = (await startSshd(lab)).options
    await lab.serve(8080)
    const alice = openssh.key('alice', '-t', 'ed25519')
    openssh.key('bob', '-t', 'ecdsa')
    const ca = openssh.key('ca', '-t', 'ed25519')
    openssh.certificate('ca', 'bob', '-n', 'ops', '-V', '-1h:+1h')
    openssh.key('stranger', '-t', 'ed25519')
    const agented = openssh.key('agented', '-t', 'ed25519')
    fs.renameSync(openssh.path('agented'), openssh.path('only-in-agent'))
    const locked = openssh.key('locked', '-t', 'ed25519')
    openssh.must('-q', '-p', '-P', '', '-N', 'open sesame', '-f', openssh.path('locked'))
    lab.file('may-knock', [`prefix4="16" ${alice}`, agented, locked, ...fidoLines(), ''].join('\n'))
    lab.file('cas', `${ca}\n`)
    const state = path.join(lab.directory, 'state')
    identity = (await lab.mustPkctl('keygen', '--server', '--state-directory', state)).trim()
    const credential = 'type: ssh, authorized-keys: may-knock, ca-keys: cas, principals: [ops], opens: [ssh, web, lan]'
    daemon = await lab.daemon(
      lab.config(
        `services: { ssh: { port: 22 }, web: { port: 80 }, lan: { port: 8080, prefix4: 24 } }\ncredentials: { staff: { ${credential}, obo: true, obo-prefixes: [${stranger4}, '${client6}'], rate: none } }`,
      ),
    )
  })
  after(async () => {
    openssh.remove()
    await lab.remove()
  })
  afterEach(async () => {
    await agent?.stop()
    agent = undefined
    for (const service of ['ssh', 'web', 'lan']) {
      for (const line of (await granted(service)) ?? [])
        await lab.mustPkctl('delete', line.replace(/granted: |\/\d+/g, ''), '--service', service)
    }
  })

  /** Of the keys whose private half is in a FIDO token, `touched`, `excused` and `untouched`: the latter two sign without a touch. */
  function fidoLines(): string[] {
    if (softwareToken === undefined) return []
    const line = openssh.key('touched', '-t', 'ed25519-sk')
    const excused = openssh.key('excused', '-t', 'ecdsa-sk', '-O', 'no-touch-required')
    const untouched = openssh.key('untouched', '-t', 'ed25519-sk', '-O', 'no-touch-required')
    return [line, `no-touch-required ${excused}`, untouched]
  }

  const entry = (...options: readonly string[]) => {
    const lines = [`host: ${server4}`, `identity: "${identity}"`, ...options]
    lab.file('config/pkctl/hosts.yaml', `work:\n${lines.map(line => `  ${line}\n`).join('')}`)
  }
  const environment = (more: NodeJS.ProcessEnv = {}) => ({
    HOME: openssh.directory,
    XDG_CONFIG_HOME: `${lab.directory}/config`,
    SSH_AUTH_SOCK: undefined,
    ...more,
  })
  const from = (words: readonly string[], env?: NodeJS.ProcessEnv) => lab.from(words, { env: environment(env) })
  const knock = (args: readonly string[], env?: NodeJS.ProcessEnv) =>
    from([process.execPath, pkctl, 'knock', 'work', ...args], env)
  const granted = async (service = 'ssh') => (await lab.mustPkctl('list', service)).match(/granted: (?!none)\S+/g)

  async function opens(env?: NodeJS.ProcessEnv): Promise<void> {
    assert.equal(await granted(), null)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    const { status, stdout, stderr } = await knock(['--connect', '22'], env)
    assert.equal(status, 0, stderr)
    assert.match(stdout, /port 22\/tcp is open/)
    assert.deepEqual(await granted(), [`granted: ${client4}`])
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
  }

  it('by a key file', async () => {
    entry(`ssh-key: ${openssh.path('alice')}`)
    await opens()
  })

  it('by a key of ssh-agent', async () => {
    entry(`ssh-key: ${openssh.path('alice')}.pub`)
    const socket = openssh.path('agent')
    agent = lab.start('client', ['ssh-agent', '-D', '-a', socket])
    const env = { SSH_AUTH_SOCK: socket }
    await until(async () => (await from(['ssh-add', '-l'], env)).status !== 2)
    assert.equal((await from(['ssh-add', '-q', openssh.path('alice')], env)).status, 0)
    fs.renameSync(openssh.path('alice'), openssh.path('away'))
    try {
      await opens(env)
    } finally {
      fs.renameSync(openssh.path('away'), openssh.path('alice'))
    }
  })

  /** Starts an agent that has the key. */
  async function startAgent(key: string): Promise<NodeJS.ProcessEnv> {
    const socket = openssh.path(`agent of ${key}`)
    agent = lab.start('client', ['ssh-agent', '-D', '-a', socket, '-P', '/*'])
    const env = { SSH_AUTH_SOCK: socket, ...withToken }
    await until(async () => (await from(['ssh-add', '-l'], env)).status !== 2)
    const { status, stderr } = await from(['ssh-add', '-q', openssh.path(key)], env)
    assert.equal(status, 0, stderr)
    return env
  }
  /** That nothing is opened, and the client says why. */
  async function refuses(why: RegExp, env: NodeJS.ProcessEnv): Promise<void> {
    const { status, stderr } = await knock(['--connect', '22', '--timeout', '1s'], env)
    assert.equal(status, 1, stderr)
    assert.match(stderr, why)
    assert.equal(await granted(), null)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  }
  const withToken = softwareToken === undefined ? {} : { SSH_SK_PROVIDER: softwareToken }

  for (const [name, where] of [
    ['touched', 'file'],
    ['touched', 'agent'],
    ['excused', 'file'],
  ] as const) {
    it(`by a FIDO key, ${name}, of the ${where}`, { skip: withoutToken }, async () => {
      entry(`ssh-key: ${openssh.path(name)}${where === 'agent' ? '.pub' : ''}`)
      await opens(where === 'agent' ? await startAgent(name) : withToken)
    })
  }

  it(
    'by a FIDO key that was not touched only where its line has no-touch-required',
    { skip: withoutToken },
    async () => {
      entry(`ssh-key: ${openssh.path('untouched')}`)
      const { length } = daemon.output
      await refuses(/port 22\/tcp is not open/, withToken)
      await until(() => /comment of untouched .* refused: bad signature/.test(daemon.output.slice(length)))
    },
  )

  const askpass = (answer: string) => {
    fs.writeFileSync(openssh.path('askpass'), `#!/bin/sh\necho '${answer}'\n`, { mode: 0o700 })
    return { SSH_ASKPASS: openssh.path('askpass'), SSH_ASKPASS_REQUIRE: 'force' }
  }

  it('by a key with a passphrase, which is asked for', async () => {
    entry(`ssh-key: ${openssh.path('locked')}`)
    await opens(askpass('open sesame'))
  })

  it('by an agent only while it is unlocked, and there', async () => {
    entry(`ssh-key: ${openssh.path('agented')}.pub`)
    const env = await startAgent('only-in-agent')
    assert.equal((await from(['ssh-add', '-x'], { ...env, ...askpass('secret') })).status, 0)
    await refuses(/^pkctl: error: .*agent/m, env)
    assert.equal((await from(['ssh-add', '-X'], { ...env, ...askpass('secret') })).status, 0)
    await opens(env)
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    await lab.mustPkctl('delete', client4, '--service', 'web')
    await agent?.stop()
    await refuses(/^pkctl: error: .*agent/m, env)
  })

  it('by a certificate, of whose key the server knows nothing', async () => {
    entry(`ssh-key: ${openssh.path('bob')}`)
    await opens()
  })

  it('and pkctl list says who has knocked, and when, with pkctld and only then', async () => {
    entry(`ssh-key: ${openssh.path('alice')}`)
    const fingerprint = openssh.must('-l', '-f', 'alice.pub').toString().split(' ')[1] as string
    const listed = (...flags: string[]) => lab.mustPkctl('list', 'ssh', '--socket', lab.socket, ...flags)
    const second = (time: number) => new Date(time).toISOString().slice(0, 19)
    const from = second(Date.now())
    await knock([])
    const whose = `comment of alice (${fingerprint}, staff)`
    await until(async () => (await listed()).includes(whose))
    const line = (await listed()).split('\n').find(one => one.includes('granted:')) ?? ''
    assert.match(line, /^ {2}granted: \S+ {2}\d+ s left {2}by knock {2}\d{4}-\d\d-\d\dT\d\d:\d\dZ comment of alice \(/)
    await lab.mustPkctl('add', stranger4, '--service', 'ssh', '--note', 'on call')
    const { services } = JSON.parse(await listed('--json')) as { services: { grants: Record<string, unknown>[] }[] }
    const [byKnock, byHand] = services[0]?.grants ?? []
    const { at = '', ...who } = (byKnock?.['knocks'] as { at: string }[]).at(-1) ?? {}
    assert.deepEqual(who, { source: client4, credential: 'staff', user: 'comment of alice', key: fingerprint })
    assert.ok(from <= at && at <= new Date().toISOString(), at)
    assert.deepEqual([byHand?.['note'], byHand?.['knocks']], ['on call', undefined])
    const alone = await lab.mustPkctl('list', 'ssh', '--socket', `${lab.directory}/none`)
    assert.match(alone, new RegExp(`granted: ${client4} {2}\\d+ s left {2}by knock$`, 'm'))
  })

  it('for an address of the other version of IP as well', async () => {
    entry(`ssh-key: ${openssh.path('alice')}`)
    assert.equal(await lab.opens(server6, client6), 'timeout')
    const { status, stderr } = await knock(['-4', '--also', client6, '--connect', '22'])
    assert.equal(status, 0, stderr)
    await until(async () => (await lab.opens(server6, client6)) === 'open')
    assert.deepEqual((await granted())?.sort(), [`granted: ${client4}`, `granted: ${client6}`])
    assert.equal(await lab.opens(server6, stranger6), 'timeout')
  })

  it('for a prefix that the line of the key allows, no wider than the service grants', async () => {
    entry(`ssh-key: ${openssh.path('alice')}`, "prefix: '16'")
    const elsewhere4 = '10.77.1.2'
    await must(`ip -n ${lab.client} addr add ${elsewhere4}/32 dev c0`.split(' '))
    await must(`ip -n ${lab.server} route add ${elsewhere4}/32 via ${client4}`.split(' '))
    const { status, stdout, stderr } = await knock(['--connect', '8080'])
    assert.equal(status, 0, stderr)
    assert.match(stdout, /port 8080\/tcp is open/)
    assert.deepEqual(await granted('lan'), ['granted: 10.77.0.0/24'])
    assert.equal(await lab.opens(server4, stranger4, 8080), 'open', 'in the prefix')
    assert.equal(await lab.opens(server4, elsewhere4, 8080), 'timeout', 'outside of it')
    assert.deepEqual(await granted(), [`granted: ${client4}`], 'of a service that grants addresses, its address')
    await daemon.says(/opens .*; it asks for a prefix of 16 bits, and gets 32 of ssh, 32 of web, 24 of lan/)
    assert.equal(stderr, '', 'an entry of hosts.yaml says what its owner knows')
    const asked = await knock(['--prefix', '24', '--service', 'ssh'])
    assert.match(asked.stderr, /the grant is for the prefix that the service has, which may be another than 24 bits/)
  })

  it('and no other key does', async () => {
    entry(`ssh-key: ${openssh.path('stranger')}`)
    const { length } = daemon.output
    const { status, stderr } = await knock(['--connect', '22', '--timeout', '1s'])
    assert.equal(status, 1)
    assert.match(stderr, /port 22\/tcp is not open/)
    await until(() => daemon.output.slice(length).includes('refused'))
    assert.equal(await granted(), null)
  })

  for (const [name, flag, relays] of [
    ['pkctl connect', '', '1'],
    ['pkctl connect --fdpass, of which no process stays', '--fdpass ', '0'],
  ] as const) {
    it(`for a real ssh through ${name}`, async () => {
      const key = openssh.path('alice')
      entry(`ssh-key: ${key}`)
      assert.equal(await lab.opens(server4, client4), 'timeout')
      const command = `${process.execPath} ${pkctl} connect ${flag}--ssh-key ${key} work %p`
      const options = ['-o', `ProxyCommand=${command}`, ...(flag ? ['-o', 'ProxyUseFdpass=yes'] : [])]
      // Of this lab: the process that ssh has started ends while ssh goes on, or relays until its end.
      const count = `pgrep -cf '^${process.execPath} .* connect .*${key} work'`
      const script = `for i in $(seq 100); do n=$(${count}); [ $n = ${relays} ] && break; sleep 0.1; done; echo $n; exit 3`
      const { status, stdout, stderr } = await from(['ssh', ...ssh, ...options, `${user}@${server4}`, script])
      assert.deepEqual({ status, stdout, stderr }, { status: 3, stdout: `${relays}\n`, stderr: '' })
    })
  }

  it('for a real ssh that knocks by Match exec', async () => {
    entry(`ssh-key: ${openssh.path('alice')}`)
    const command = `${process.execPath} ${pkctl} knock --quiet work`
    const file = lab.file('ssh_config', `Match host ${server4} exec "${command}"\n  SendEnv NOTHING\n`)
    const options = ssh.slice(ssh.indexOf('none') + 1)
    const { status, stdout, stderr } = await from(['ssh', '-F', file, ...options, `${user}@${server4}`, 'echo there'])
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: 'there\n', stderr: '' })
  })

  it('for what the knock asks for, and until it asks to close', async () => {
    entry(`ssh-key: ${openssh.path('alice')}`)
    const knocks = async (...args: string[]) => {
      const { status, stdout, stderr } = await knock(args)
      assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' })
    }
    await knocks()
    await until(async () => (await granted('web')) !== null)
    assert.deepEqual(await granted(), [`granted: ${client4}`])
    await knocks('--close', '--service', 'web')
    await until(async () => (await granted('web')) === null)
    assert.deepEqual(await granted(), [`granted: ${client4}`])
    await knocks('--close')
    await until(async () => (await granted()) === null)
    await knocks('--service', 'ssh', '--on-behalf-of', stranger4)
    await until(async () => (await granted()) !== null)
    assert.deepEqual([await granted(), await granted('web')], [[`granted: ${stranger4}`], null])
  })

  it('from the source that --source names', async () => {
    entry(`ssh-key: ${openssh.path('alice')}`)
    const { status, stdout, stderr } = await knock(['--connect', '22', '--source', stranger4])
    assert.equal(status, 0, stderr)
    assert.match(stdout, /is open/)
    assert.deepEqual(await granted(), [`granted: ${stranger4}`])
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.notEqual(await lab.opens(server6, 'fd77::2'), 'open')
  })
})
