/** Packets that are forged in one network leave the knocks of others alone. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { must } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

const elsewhere4 = '10.78.0.2'

describe('the limits of the kernel', () => {
  let lab: Lab

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    await must(`ip -n ${lab.client} addr add ${elsewhere4}/32 dev c0`.split(' '))
    await must(`ip -n ${lab.server} route add ${elsewhere4}/32 via ${client4}`.split(' '))
  })
  after(() => lab.remove())

  it('a network whose packets are too many loses its own knocks, and no others', async () => {
    // Of each second's packets one, so that the machine can be slow.
    const limits = 'limits: { per-source: 1000, per-network: 1, excess: 0 }'
    const credential = 'laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }'
    await lab.daemon(lab.config(`services: { ssh: { port: 22 } }\ncredentials: { ${credential} }\n${limits}`))
    const send = (from: string) => ({ send: { host: server4, port: knockPort, from, hex: knockHex() } })
    const connect = (from: string) => ({ connect: { host: server4, port: 22, from } })
    const outcomes = await lab.peer(
      ...Array.from({ length: 20 }, () => send(stranger4)),
      ...[elsewhere4, client4].map(send),
      ...[elsewhere4, client4].map(connect),
    )
    const results = outcomes.slice(-2).map(({ result }) => result)
    assert.deepEqual(results, ['open', 'timeout'])
  })
})
