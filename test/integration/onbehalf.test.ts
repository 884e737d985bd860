/** Knocks that ask for another address than their own. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { encodeObo } from '../../src/knock/pkd-on-behalf.js'
import { parsePkdKey, parseTag } from '../../src/knock/pkd.js'
import { must, pkctl, until } from '../support/commands.js'
import { knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'

const services = 'services: { ssh: { port: 22, window: 30 } }\n'
const guests = (more = 'obo: true, obo-prefixes: [10.77.0.3, "fd77::/64"]') =>
  `${services}credentials:\n  guests: { type: pkd, tag: GUST, key: test, opens: [ssh], ${more} }\n`

describe('on behalf of another', () => {
  let lab: Lab
  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22)
  })
  afterEach(() => lab.remove())

  const ask = (address: string, ...args: string[]) =>
    lab.from(
      [
        process.execPath,
        pkctl,
        'knock',
        server4,
        '--tag',
        'GUST',
        '--key-env',
        'KEY',
        '--on-behalf-of',
        address,
        ...args,
      ],
      { env: { KEY: 'test' } },
    )

  it('lets the address in that is asked for, and not the one that asks', async () => {
    const daemon = await lab.daemon(lab.config(guests()))
    for (const [host, from, address] of [
      [server4, client4, stranger4],
      [server6, client6, stranger6],
    ] as const) {
      assert.equal((await ask(address)).status, 0)
      await daemon.says(
        new RegExp(`knock by guests from 10\\.77\\.0\\.2 on behalf of [0-9a-f:.]*${address.slice(-2)} opens ssh`),
      )
      await until(async () => (await lab.mustPkctl('list', 'ssh')).includes(address))
      assert.equal(await lab.opens(host, address), 'open')
      assert.equal(await lab.opens(host, from), 'timeout')
    }
  })

  it('that fails, is logged as what it is, once', async () => {
    const daemon = await lab.daemon(lab.config(guests()))
    const full = `table inet pkctl { set pk-ssh.add-4 { type ipv4_addr; flags timeout; size 1; elements = { 192.0.2.1 timeout 1h }; }; }`
    await daemon.stop()
    await lab.mustPkctl('remove', 'ssh')
    await must(['ip', 'netns', 'exec', lab.server, 'nft', full])
    await lab.adoptTable()
    const again = await lab.daemon(lab.config(guests()))
    assert.equal((await ask(stranger4)).status, 0)
    await again.says(/on behalf of 10\.77\.0\.3 is valid, but pkctld has not opened ssh: .*full/)
    assert.doesNotMatch(again.output, /opens ssh|could not be granted/)
    assert.match(await lab.mustPkctl('status'), /1 accepted, 1 of them not granted by the kernel/)
  })

  const refused: readonly [string, string, string, RegExp][] = [
    ['outside the prefixes', guests(), '10.77.0.9', /refused: asks for an address that it may not ask for/],
    ['of the other version of IP', guests('obo: true, obo-prefixes: ["::/0"]'), stranger4, /may not ask for/],
  ]
  for (const [name, config, address, reason] of refused) {
    it(`an address ${name} is refused`, async () => {
      const daemon = await lab.daemon(lab.config(config))
      assert.equal((await ask(address)).status, 0)
      await daemon.says(reason)
      assert.doesNotMatch((await lab.pkctl('list', 'ssh')).stdout, /10\.77\.0\.[39]/)
    })
  }

  it('a credential without obo: such a knock does not even leave the kernel', async () => {
    await lab.daemon(lab.config(guests('enabled: true')))
    assert.equal((await ask(stranger4)).status, 0)
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    const { knocks } = JSON.parse(await lab.mustPkctl('status', '--json')) as { knocks: { refused: object } }
    assert.deepEqual(knocks.refused, {})
  })

  it('opens once, and a copy of it never again; one that was refused is used up as well', async () => {
    const daemon = await lab.daemon(lab.config(guests('obo: true, obo-prefixes: [10.77.0.3], rate: 1/10s')))
    const fields = () => ({ tag: parseTag('GUST'), time: Math.floor(Date.now() / 1000), random: randomBytes(12) })
    const hexFor = (last: number) =>
      encodeObo(fields(), Buffer.from([10, 77, 0, last]), knockPort, parsePkdKey('test')).toString('hex')
    const send = (hex: string) => ({ send: { host: server4, port: knockPort, from: client4, hex } })
    const [right, outside] = [hexFor(3), hexFor(9)]
    await lab.peer(send(right))
    await daemon.says(/on behalf of 10\.77\.0\.3 opens ssh/)
    await lab.mustPkctl('delete', stranger4, '--service', 'ssh')
    await lab.peer(send(right), send(outside), send(outside))
    await daemon.says(/refused: rate-limited[^]*refused: replayed|refused: replayed[^]*refused: rate-limited/)
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
  })

  it('says what it cannot ask for', async () => {
    for (const address of ['guest.example', '10.77.0.0/24', '::ffff:10.77.0.3']) {
      const { status, stderr } = await ask(address)
      assert.equal(status, 2)
      assert.match(stderr, /^pkctl: error: /)
    }
  })
})
