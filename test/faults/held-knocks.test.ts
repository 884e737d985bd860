/** More signed knocks at once than may wait for their signatures. */
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Status } from '../../src/controller/report/collect-status.js'
import { parseIdentity } from '../../src/knock/pk1/identity.js'
import { until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { signedPayload } from '../unit/controller/signed-support.js'
import { testKey } from '../unit/knock/openssh/sshsig.js'

/** Three times as many as are held. */
const many = 768
const alice = testKey('ssh-ed25519')

describe('a flood of signed knocks', () => {
  let lab: Lab
  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
  })
  after(() => lab.remove())

  it('what is too many is refused and said; the connection behind, and knocks of other kinds, are answered', async () => {
    const made = await lab.mustPkctl('keygen', '--server', '--state-directory', path.join(lab.directory, 'state'))
    const identity = parseIdentity(made.trim()) as Buffer
    lab.file('authorized_keys', `${alice.line} alice\n`, 0o644)
    const daemon = await lab.daemon(
      lab.config(
        [
          'services: { ssh: { port: 22, syn: true, window: 600 } }',
          'limits: { per-source: 100000 }',
          'credentials:',
          '  staff: { type: ssh, authorized-keys: authorized_keys, opens: [ssh], rate: none, skew: 60 }',
          '  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }',
        ].join('\n'),
      ),
    )
    await daemon.says(/the keys of staff are read: 1 key/)
    const send = (from: string, hex: string) => ({ send: { host: server4, port: knockPort, from, hex } })
    const time = Math.floor(Date.now() / 1000)
    const knocks = Array.from({ length: many }, () => signedPayload(alice, { identity, time }).toString('hex'))

    daemon.child.kill('SIGSTOP')
    const outcomes = lab.peer(
      ...knocks.map(hex => send(client4, hex)),
      send(stranger4, knockHex()),
      { connect: { host: server4, port: 22, from: client4, timeout: 30_000 } },
      { connect: { host: server4, port: 22, from: stranger4 } },
    )
    const waiting = async () => {
      const { stdout } = await lab.on(['cat', '/proc/net/netfilter/nfnetlink_queue'])
      return Number(stdout.trim().split(/\s+/)[2])
    }
    await until(async () => (await waiting()) >= many + 2)
    daemon.child.kill('SIGCONT')
    assert.deepEqual(
      (await outcomes).slice(-2).map(({ result }) => result),
      ['open', 'open'],
    )

    const status = async () => JSON.parse(await lab.mustPkctl('status', '--json')) as Status
    await until(async () => {
      const { accepted, refused } = (await status()).knocks
      return accepted + Object.values(refused).reduce((sum, count) => sum + count, 0) === many + 1
    })
    const { accepted, refused } = (await status()).knocks
    assert.deepEqual(Object.keys(refused), ['signatures-busy'])
    assert.ok(accepted > 256 && (refused['signatures-busy'] ?? 0) > 0, JSON.stringify({ accepted, refused }))
    await daemon.says(/"reason":"signatures-busy"/)
    assert.equal(await lab.opens(server4, client4), 'open')
  })
})
