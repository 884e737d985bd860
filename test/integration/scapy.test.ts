/**
 * Packets as nobody's client makes them, by scapy: options and extension headers in front of a knock, pieces of one, forged
 * sources, TCP flags that no connection has.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Status } from '../../src/controller/report/collect-status.js'
import { sleep, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4 } from '../support/lab.js'

const config = `
services: { ssh: { port: 22, window: 30 }, web: { port: 8080, window: 30 }, mail: { port: 25, window: 30 } }
credentials:
  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }
  door: { type: sequence, sequence: [7000, 8000, 9000], opens: [web], timeout: 10 }
  odd: { type: sequence, sequence: [7001, 7002], tcp-flags: [fin, urg, "!syn", "!ack"], opens: [mail], timeout: 10 }
`

describe('packets of scapy', () => {
  let lab: Lab

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22, 25, 8080)
    await lab.daemon(lab.config(config))
  })
  after(() => lab.remove())

  /** Sends these packets, Python expressions, one after the other from the client's namespace. */
  async function send(...packets: string[]): Promise<void> {
    const script = ['from scapy.all import *', 'conf.verb = 0', ...packets.map(packet => `send(${packet})`)]
    const { status, stderr } = await lab.from(['/usr/bin/python3', '-c', script.join('\n')])
    assert.equal(status, 0, stderr)
  }
  const knock = () => `UDP(sport=40001, dport=${knockPort}) / Raw(bytes.fromhex('${knockHex()}'))`
  const ip4 = (more = '') => `IP(src='${client4}', dst='${server4}'${more})`
  const ip6 = (more = '') => `IPv6(src='${client6}', dst='${server6}'${more})`
  const refused = async () => (JSON.parse(await lab.mustPkctl('status', '--json')) as Status).knocks.refused
  const grants = () => lab.mustPkctl('list')

  async function opensOnce(host: string, source: string, service: string, port: number): Promise<void> {
    await until(async () => (await lab.opens(host, source, port)) === 'open')
    await lab.mustPkctl('delete', source, '--service', service)
    assert.equal(await lab.opens(host, source, port), 'timeout')
  }

  for (const [what, ip] of [
    ['a plain one', ip4()],
    ['behind options of IPv4', ip4(', options=[IPOption_NOP()] * 8')],
    ['with a TTL of 1 and a congestion mark', ip4(', ttl=1, tos=3')],
  ] as const) {
    it(`a knock ${what} opens`, async () => {
      await send(`${ip} / ${knock()}`)
      await opensOnce(server4, client4, 'ssh', 22)
    })
  }

  for (const [what, headers] of [
    ['a plain one', ''],
    [
      'behind hop-by-hop and destination options',
      ' / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]) / IPv6ExtHdrDestOpt()',
    ],
    ['behind an atomic fragment header', ' / IPv6ExtHdrFragment(id=7)'],
  ] as const) {
    it(`over IPv6, a knock ${what} opens`, async () => {
      await send(`${ip6()}${headers} / ${knock()}`)
      await opensOnce(server6, client6, 'ssh', 22)
    })
  }

  it('a knock in pieces opens by IPv4, whose pieces the kernel puts together first', async () => {
    await send(`fragment(${ip4()} / ${knock()}, fragsize=24)`)
    await opensOnce(server4, client4, 'ssh', 22)
  })

  it('a forged source opens for the forged one alone', async () => {
    await send(`IP(src='${stranger4}', dst='${server4}') / ${knock()}`)
    await until(async () => (await lab.opens(server4, stranger4)) === 'open')
    assert.equal(await lab.opens(server4, client4), 'timeout')
    await lab.mustPkctl('delete', stranger4, '--service', 'ssh')
  })

  it('sources that nobody has are let in nowhere, and harm nobody', async () => {
    const sources = ['127.0.0.1', '0.0.0.0', '255.255.255.255', '224.0.0.1', server4]
    await send(...sources.map(source => `IP(src='${source}', dst='${server4}') / ${knock()}`))
    await send(...['::1', 'ff02::1'].map(source => `IPv6(src='${source}', dst='${server6}') / ${knock()}`))
    await sleep(500)
    assert.doesNotMatch(await grants(), /granted: (127|0|255|224|10\.77\.0\.1 |::1 |ff02)/)
  })

  it('rubbish in the shape of a knock is refused, and each kind counted', async () => {
    const hex = knockHex()
    const flipped = hex.slice(0, -1) + (hex.endsWith('0') ? '1' : '0')
    const raw = (text: string) => `${ip4()} / UDP(sport=5, dport=${knockPort}) / Raw(bytes.fromhex('${text}'))`
    await send(
      raw(flipped),
      raw(hex.slice(0, -2)),
      raw(`${hex}00`),
      raw(''),
      raw('53534b48'),
      raw(knockHex({ ahead: 9999 })),
    )
    await until(async () => Object.values(await refused()).reduce((sum, n) => sum + n, 0) >= 2)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  it('SYNs that are forged for three sources in turn open for whoever made them all', async () => {
    const syn = (source: string, port: number) =>
      `IP(src='${source}', dst='${server4}') / TCP(sport=50001, dport=${port}, flags='S')`
    await send(syn(client4, 7000), syn(stranger4, 8000), syn(client4, 8000), syn(stranger4, 9000), syn(client4, 9000))
    await opensOnce(server4, client4, 'web', 8080)
    assert.equal(await lab.opens(server4, stranger4, 8080), 'timeout')
  })

  it('a sequence of flags that no connection begins with; with one that is excluded it counts as nothing', async () => {
    const step = (port: number, flags: string) => `${ip4()} / TCP(sport=50002, dport=${port}, flags='${flags}')`
    await send(step(7001, 'FUS'), step(7002, 'FUS'))
    await send(step(7001, 'FUA'), step(7002, 'FU'))
    await send(step(7001, 'F'), step(7002, 'F'))
    await sleep(500)
    assert.equal(await lab.opens(server4, client4, 25), 'timeout')
    await send(step(7001, 'FU'), step(7002, 'FUPEC'))
    await opensOnce(server4, client4, 'mail', 25)
  })

  it('no flags, all flags, and a header that is cut, open nothing', async () => {
    const tcp = (more: string) => `${ip4()} / TCP(sport=50003, ${more})`
    await send(
      ...[7001, 7002].map(port => tcp(`dport=${port}, flags=0`)),
      ...[7001, 7002].map(port => tcp(`dport=${port}, flags='FSRPAUEC'`)),
      ...[7001, 7002].map(port => `${ip4(', proto=6')} / Raw(bytes(TCP(dport=${port}, flags='FU'))[:14])`),
      ...[7001, 7002].map(port => tcp(`dport=${port}, flags='FU', dataofs=1`)),
    )
    await sleep(500)
    assert.equal(await lab.opens(server4, client4, 25), 'timeout')
  })
})
