/** One knock's whole way: real packets, the real kernel, the daemon as it is started by a user. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { sleep } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'

describe('from knock to open port', () => {
  let lab: Lab
  let daemon: Background

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--window', '3')
    daemon = await lab.daemon(
      lab.config('credentials:\n  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh], skew: 60 }'),
    )
  })
  after(() => lab.remove())

  for (const [family, host, source, stranger] of [
    ['IPv4', server4, client4, stranger4],
    ['IPv6', server6, client6, stranger6],
  ] as const) {
    it(`${family}: closed, knock, open at once, closed to others, replay refused, closed again`, async () => {
      assert.equal(await lab.opens(host, source), 'timeout', 'closed before the knock')
      const hex = knockHex()
      const [, connected] = await lab.peer(
        { send: { host, port: knockPort, from: source, hex } },
        { connect: { host, port: 22, from: source } },
      )
      assert.equal(connected?.result, 'open', 'open at once after it')
      assert.equal(await lab.opens(host, stranger), 'timeout', 'closed to another source')
      const [, replayed] = await lab.peer(
        { send: { host, port: knockPort, from: stranger, hex } },
        { connect: { host, port: 22, from: stranger } },
      )
      assert.equal(replayed?.result, 'timeout', 'the same knock opens nothing for another')
      await daemon.says(/refused: replayed/)
      await sleep(3500)
      assert.equal(await lab.opens(host, source), 'timeout', 'closed after the window')
    })
  }

  it('no answer shows a sender without a key that pkctld listens: other datagrams get one', async () => {
    const outcomes = await lab.peer(
      { echo: { host: server4, port: knockPort, from: stranger4, text: `SSHK${'x'.repeat(52)}` } },
      { echo: { host: server4, port: knockPort, from: stranger4, text: 'x'.repeat(56) } },
    )
    assert.deepEqual(
      outcomes.map(({ result }) => result),
      ['timeout', 'unreachable'],
    )
    await daemon.says(/refused: /)
  })
})
