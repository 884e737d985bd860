/** `pkctl explain`: whether an address gets in, by which rule, and why its last knock was refused. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

describe('pkctl explain', () => {
  let lab: Lab
  let config: string

  before(async () => {
    lab = await Lab.create()
    config = lab.config(
      'services: { ssh: { port: 22, window: 600 } }\ncredentials:\n  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }',
    )
    const daemon = await lab.daemon(config)
    const send = (from: string, hex: string) => ({ send: { host: server4, port: knockPort, from, hex } })
    await lab.peer(send(client4, knockHex()), send(stranger4, knockHex({ key: 'other' })))
    await daemon.says(/wrong key|bad-hash/)
    await daemon.says(/opens ssh/)
  })
  after(() => lab.remove())

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

  it('refuses what is no address', async () => {
    const { status, stderr } = await explain('door')
    assert.equal(status, 2)
    assert.match(stderr, /^pkctl: error: .*'door'/)
  })
})
