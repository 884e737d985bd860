/** `pkctl explain`: whether an address gets in, by which rule, and why its last knock was refused. */
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parseIdentity } from '../../src/knock/pk1/identity.js'
import { until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { OpenSsh } from '../support/openssh.js'
import { signedKnock } from '../support/signed-knocks.js'

describe('pkctl explain', () => {
  let lab: Lab
  let config: string
  let identity: Buffer
  const openssh = new OpenSsh()

  before(async () => {
    lab = await Lab.create()
    lab.file('keys', `window="30s" ${openssh.key('alice', '-t', 'ed25519')}\n`, 0o644)
    openssh.key('mallory', '-t', 'ed25519')
    const state = path.join(lab.directory, 'state')
    const printed = await lab.mustPkctl('keygen', '--server', '--state-directory', state)
    identity = parseIdentity(printed.trim()) as Buffer
    config = lab.config(
      'services: { ssh: { port: 22, window: 600 } }\ncredentials:\n  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }\n  staff: { type: ssh, authorized-keys: keys, opens: [ssh] }',
    )
    const daemon = await lab.daemon(config)
    const send = (from: string, hex: string) => ({ send: { host: server4, port: knockPort, from, hex } })
    await lab.peer(send(client4, knockHex()), send(stranger4, knockHex({ key: 'other' })))
    await daemon.says(/wrong key|bad-hash/)
    await daemon.says(/opens ssh/)
  })
  after(async () => {
    openssh.remove()
    await lab.remove()
  })

  const explain = (address: string, ...flags: string[]) => lab.pkctl('explain', address, '--config', config, ...flags)

  it('an address with a grant, one whose knock was refused, and one that never knocked', async () => {
    const granted = (await explain(client4)).stdout
    assert.match(
      granted,
      /^ssh {2}22\/tcp {2}granted by knock, [\d minhs]+ left\n {2}rule: chain pk-ssh: a grant of 10\.77\.0\.2\n/,
    )
    assert.match(granted, /last knock: .*opens ssh/)
    const refused = (await explain(stranger4)).stdout
    assert.match(refused, /^ssh {2}22\/tcp {2}refused\n {2}rule: chain pk-ssh: no grant, so drop\n/)
    assert.match(refused, /last knock: .*refused/)
    assert.match((await explain('2001:db8::1')).stdout, /last knock: pkctl log has none of 2001:db8::1/)
  })

  it('what the table of another program does, in JSON, too', async () => {
    await lab.on(['nft', 'add table inet f; add chain inet f c { type filter hook input priority 0; policy drop; }'])
    assert.match(
      (await explain(client4)).stdout,
      /inet f.*ssh may stay closed to sources with a grant\n {4}what to do: /,
    )
    const { services, lastKnock } = JSON.parse((await explain(client4, '--json')).stdout) as {
      services: { access: string; objections: { id: string }[] }[]
      lastKnock: { event: string }
    }
    assert.deepEqual(
      [services[0]?.access, services[0]?.objections.map(({ id }) => id), lastKnock.event],
      ['granted', ['policy-drops'], 'knock-accepted'],
    )
    await lab.on(['nft', 'delete table inet f'])
  })

  const knock = (hex: string, ...flags: string[]) =>
    explain(hex, '--from', '192.0.2.7', '--port', String(knockPort), ...flags)

  it('a knock, by the configuration and the keys of now, which is not used up', async () => {
    const hex = knockHex()
    for (let twice = 0; twice < 2; twice++) {
      const { stdout, stderr } = await knock(hex)
      assert.match(stdout, /^knock by laptop from 192\.0\.2\.7 opens ssh for 600 s \(its clock: -?\d s\)\n$/)
      assert.equal(stderr, '')
    }
    assert.match((await knock(knockHex({ key: 'other' }))).stdout, /refused: bad hash/)
    assert.match((await knock(knockHex({ tag: 'NONE' }))).stdout, /refused: unknown tag/)
    assert.equal((await lab.mustPkctl('list')).includes('192.0.2.7'), false)
    const [sent] = await lab.peer({ send: { host: server4, port: knockPort, from: stranger4, hex } })
    assert.ok(sent)
    await until(async () => (await lab.mustPkctl('list')).includes(stranger4))
    await lab.mustPkctl('delete', stranger4, '--service', 'ssh')
  })

  it('a knock that came some time ago', async () => {
    const then = Math.floor(Date.now() / 1000) - 300
    const hex = knockHex({ time: then })
    const now = await knock(hex)
    assert.match(now.stdout, /refused: skewed: the clocks differ by 30\d s/)
    assert.match(now.stderr, /hint: --time says when it came/)
    const { stdout, stderr } = await knock(hex, '--time', new Date(then * 1000).toISOString(), '--json')
    assert.equal(stderr, '')
    const { knocks, at } = JSON.parse(stdout) as { at: string; knocks: Record<string, unknown>[] }
    assert.equal(at, new Date(then * 1000).toISOString())
    assert.deepEqual(
      knocks.map(({ event, credential, services }) => [event, credential, services]),
      [['knock-accepted', 'laptop', ['ssh']]],
    )
  })

  it('a knock that an SSH key has signed', async () => {
    const of = async (name: string, wishes = {}) =>
      (await knock((await signedKnock({ key: openssh.path(name), identity, wishes })).toString('hex'))).stdout
    assert.match(
      await of('alice'),
      /^knock by comment of alice \(SHA256:.*, staff\) from 192\.0\.2\.7 opens ssh for 30 s/,
    )
    assert.match(await of('alice', { services: ['web'] }), /refused: asks for a service that its key does not open/)
    assert.match(await of('mallory'), /^knock by SHA256:.* refused: unknown key/)
  })

  it('the knock of a line of the log, as text and as JSON', async () => {
    for (const flags of [[], ['--json']]) {
      const log = await lab.mustPkctl(
        'log',
        '--config',
        config,
        '--source',
        stranger4,
        '--refused',
        '-n',
        '1',
        ...flags,
      )
      const { stdout } = await explain(log)
      assert.match(stdout, /^ssh {2}22\/tcp {2}refused\n {2}rule: chain pk-ssh: no grant, so drop\nknock: .*bad hash/)
    }
    const { status, stderr } = await explain('a knock from nowhere')
    assert.equal(status, 2)
    assert.match(stderr, /no address, no knock in hex, and no line of a knock that pkctl log has/)
  })

  it('refuses a knock without where it came from, and flags of a knock for an address', async () => {
    for (const args of [[knockHex()], [knockHex(), '--from', client4], [client4, '--port', '1']]) {
      const { status, stderr } = await explain(...(args as [string]))
      assert.equal(status, 2)
      assert.match(stderr, /--from/)
    }
  })

  it('refuses what is no address', async () => {
    const { status, stderr } = await explain('door')
    assert.equal(status, 2)
    assert.match(stderr, /^pkctl: error: .*'door'/)
  })
})
