/** Packets that may be meant as knocks and do not leave the kernel: the status counts them, and the log says how many. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { encodeObo } from '../../src/knock/pkd-on-behalf.js'
import { parsePkdKey, parseTag } from '../../src/knock/pkd.js'
import type { Background } from '../support/commands.js'
import { until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, server6 } from '../support/lab.js'

describe('a packet that no credential can take', () => {
  let lab: Lab
  let daemon: Background
  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    daemon = await lab.daemon(
      lab.config(
        [
          'services: { ssh: { port: 22 } }',
          `credentials: { laptop: { type: pkd, tag: SSHK, key: test, port: ${knockPort}, opens: [ssh] } }`,
        ].join('\n'),
      ),
    )
  })
  after(() => lab.remove())

  const counted = async () => {
    const { knocks } = JSON.parse(await lab.mustPkctl('status', '--json')) as { knocks: { ofNoCredential: number } }
    return knocks.ofNoCredential
  }
  const send = (hex: string, port = knockPort, host = server4) => lab.peer({ send: { host, port, hex } })
  const onBehalf = () => {
    const fields = { tag: parseTag('SSHK'), time: Math.floor(Date.now() / 1000), random: randomBytes(12) }
    return encodeObo(fields, Buffer.from([192, 0, 2, 7]), knockPort, parsePkdKey('test')).toString('hex')
  }

  for (const [what, sent] of [
    ['of an unknown tag', () => send(knockHex({ tag: 'SSHX' }))],
    ['of an unknown tag, over IPv6', () => send(knockHex({ tag: 'SSHX' }), knockPort, server6)],
    ['to a port of no credential', () => send(knockHex({ port: 4001 }), 4001)],
    ['on behalf of another, which no credential may', () => send(onBehalf())],
  ] as const) {
    it(`${what}: is counted`, async () => {
      const before = await counted()
      await sent()
      assert.equal(await counted(), before + 1)
      assert.equal(await lab.opens(server4, client4), 'timeout')
    })
  }

  it('is in the log at debug, as one of so many since the last line', async () => {
    const said = () =>
      [...daemon.output.matchAll(/"debug","message":"not queued: (\d+) packets? with an unknown tag, or for a port/g)]
        .map(([, packets]) => Number(packets))
        .reduce((sum, packets) => sum + packets, 0)
    const before = await counted()
    await lab.mustPkctl('reload')
    for (let sent = 0; sent < 3; sent++) await send(knockHex({ tag: 'SSHX' }))
    assert.equal(await counted(), 3)
    await until(() => said() === before + 3)
  })

  it('is told apart from knocks, from what the log shows, and from packets of another size', async () => {
    const before = await counted()
    await send(knockHex({ key: 'wrong' }))
    await daemon.says(/knock from \S+ refused: bad hash/)
    await send(knockHex().slice(2))
    await send(knockHex())
    await daemon.says(/knock by laptop from \S+ opens ssh/)
    assert.equal(await counted(), before)
    assert.doesNotMatch(daemon.output, /refused: (unknown tag|wrong port)|asks for an address/)
    const said = new RegExp(
      `^ {2}${before} packets as long as a PKD knock, with the tag of no credential; other UDP of that length counts, too$`,
      'm',
    )
    assert.match(await lab.mustPkctl('status'), said)
  })
})
