import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodePacket, Packet, sourceText } from '../../../src/queue/packet.js'
import type { Extension } from './build-packet.js'
import { decode, documentation6, ipv4, ipv6, tcp, udp } from './build-packet.js'

const payload = Buffer.from('the payload of a knock')
const datagram = udp({ payload })

/** What a test looks at; undefined when the packet could not be read. */
function seen(ip: Buffer) {
  const packet = decode(ip)
  if (packet.version === 0) return undefined
  const { version, protocol, sourcePort, destinationPort, payloadAt, payloadLength, buffer } = packet
  const text = buffer.toString('latin1', payloadAt, payloadAt + payloadLength)
  return { version, protocol, sourcePort, destinationPort, text, source: sourceText(packet) }
}

const got = (version: 4 | 6, text = payload.toString()) => ({
  version,
  protocol: 17,
  sourcePort: 1234,
  destinationPort: 40_000,
  text,
  source: version === 4 ? '192.0.2.1' : '2001:db8::1',
})

const options = (type: number, units = 0): Extension => {
  const bytes = Buffer.alloc((units + 1) * 8)
  bytes[1] = units
  return { type, bytes }
}
const hopByHop = options(0)
const routing = options(43, 2)
const destination = options(60, 1)
const authentication = (words = 6): Extension => {
  const bytes = Buffer.alloc(words * 4)
  bytes[1] = words - 2
  return { type: 51, bytes }
}
const fragment = (offset: number, more: boolean): Extension => {
  const bytes = Buffer.alloc(8)
  bytes[1] = 0xff // reserved: not a length here
  bytes.writeUInt16BE((offset << 3) | (more ? 1 : 0), 2)
  return { type: 44, bytes }
}
const chain = (count: number) => Array.from({ length: count }, () => destination)
const with6 = (...extensions: Extension[]) => ipv6(datagram, { extensions })

describe('decodePacket', () => {
  const read: readonly [string, Buffer, ReturnType<typeof seen>][] = [
    ['IPv4', ipv4(datagram), got(4)],
    ['IPv4 with 4 bytes of options', ipv4(datagram, { options: Buffer.alloc(4, 1) }), got(4)],
    ['IPv4 with 40 bytes of options', ipv4(datagram, { options: Buffer.alloc(40, 1) }), got(4)],
    ['IPv4 with bytes behind its total length', Buffer.concat([ipv4(datagram), Buffer.alloc(6)]), got(4)],
    ['IPv4 with more total length than was copied', ipv4(datagram, { totalLength: 1500 }), got(4)],
    ["IPv4 with don't fragment", ipv4(datagram, { fragment: 0x4000 }), got(4)],
    ['IPv4, first fragment that holds all', ipv4(datagram, { fragment: 0x2000 }), got(4)],
    ['IPv4, UDP shorter than the rest', ipv4(udp({ payload, length: 11 })), got(4, 'the')],
    ['IPv4, UDP without payload', ipv4(udp()), got(4, '')],
    ['IPv4, UDP of 8 bytes before others', ipv4(udp({ payload, length: 8 })), got(4, '')],
    ['IPv4, TCP', ipv4(tcp(), { protocol: 6 }), { ...got(4, ''), protocol: 6, destinationPort: 22 }],
    ['IPv6', ipv6(datagram), got(6)],
    ['IPv6 with bytes behind its length', Buffer.concat([ipv6(datagram), Buffer.alloc(6)]), got(6)],
    ['IPv6 with more length than was copied', ipv6(datagram, { payloadLength: 1500 }), got(6)],
    ['IPv6, TCP', ipv6(tcp(), { protocol: 6 }), { ...got(6, ''), protocol: 6, destinationPort: 22 }],
    ['IPv6, hop by hop', with6(hopByHop), got(6)],
    ['IPv6, routing of 24 bytes', with6(routing), got(6)],
    ['IPv6, destination options of 16 bytes', with6(destination), got(6)],
    ['IPv6, authentication', with6(authentication()), got(6)],
    ['IPv6, authentication of 16 bytes', with6(authentication(4)), got(6)],
    ['IPv6, atomic fragment', with6(fragment(0, false)), got(6)],
    ['IPv6, first fragment that holds all', with6(fragment(0, true)), got(6)],
    ['IPv6, one of each', with6(hopByHop, destination, routing, fragment(0, false), authentication()), got(6)],
    ['IPv6, chain of 8', with6(...chain(8)), got(6)],
  ]
  for (const [name, ip, want] of read) it(`reads ${name}`, () => assert.deepEqual(seen(ip), want))

  const refused: readonly [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['IP version 0', Buffer.alloc(60)],
    ['IP version 5', Buffer.alloc(60, 0x55)],
    ['IPv4, header of 16 bytes', ipv4(tcp(), { protocol: 6, headerWords: 4 })],
    ['IPv4, header of no length', ipv4(tcp(), { protocol: 6, headerWords: 0 })],
    ['IPv4, header longer than the packet', ipv4(datagram, { headerWords: 15 })],
    ['IPv4, total length shorter than the header', ipv4(datagram, { totalLength: 19 })],
    ['IPv4, total length that leaves half a UDP header', ipv4(datagram, { totalLength: 24 })],
    ['IPv4, total length that cuts the payload', ipv4(datagram, { totalLength: 20 + datagram.length - 1 })],
    ['IPv4, later fragment', ipv4(datagram, { fragment: 0x0001 })],
    ['IPv4, middle fragment', ipv4(datagram, { fragment: 0x2000 | 185 })],
    ['IPv4, last possible fragment', ipv4(datagram, { fragment: 0x1fff })],
    ['IPv4, UDP length 7', ipv4(udp({ payload, length: 7 }))],
    ['IPv4, UDP length 0', ipv4(udp({ payload, length: 0 }))],
    ['IPv4, UDP length one too many', ipv4(udp({ payload, length: datagram.length + 1 }))],
    ['IPv4, UDP length 65535', ipv4(udp({ payload, length: 65_535 }))],
    ['IPv4, TCP header of 16 bytes', ipv4(tcp({ words: 4 }), { protocol: 6 })],
    ['IPv4, TCP header longer than the packet', ipv4(tcp({ words: 6 }), { protocol: 6 })],
    ['IPv6, payload length 0', ipv6(datagram, { payloadLength: 0 })],
    ['IPv6, payload length that cuts the payload', ipv6(datagram, { payloadLength: datagram.length - 1 })],
    ['IPv6, UDP length one too many', ipv6(udp({ payload, length: datagram.length + 1 }))],
    ['IPv6, second fragment', with6(fragment(1, true))],
    ['IPv6, last possible fragment', with6(fragment(0x1fff, false))],
    ['IPv6, later fragment behind other headers', with6(hopByHop, fragment(5, false))],
    ['IPv6, extension longer than the packet', with6({ type: 60, bytes: Buffer.alloc(8, 0xff) })],
    ['IPv6, chain of 9', with6(...chain(9))],
  ]
  for (const [name, ip] of refused) {
    it(`refuses ${name}`, () => {
      const packet = new Packet(ip)
      packet.version = 4 // as it was left by the packet before
      assert.equal(decodePacket(packet, 0, ip.length), false)
      assert.equal(packet.version, 0)
    })
  }

  const wholes: readonly [string, Buffer][] = [
    ['IPv4 with options', ipv4(datagram, { options: Buffer.alloc(8, 1) })],
    ['IPv6 with extensions', with6(hopByHop, routing, authentication(), fragment(0, false))],
    ['TCP', ipv4(tcp(), { protocol: 6 })],
  ]
  for (const [name, whole] of wholes) {
    it(`${name}, cut off at every byte, is refused or read without its end`, () => {
      for (let length = 0; length < whole.length; length++) {
        const packet = decode(whole.subarray(0, length))
        const want = length >= (name === 'TCP' ? 40 : whole.length - payload.length)
        assert.deepEqual([packet.version !== 0, packet.payloadLength], [want, 0], `${length} bytes`)
      }
    })
  }

  it('returns true where it fills the packet', () => {
    const ip = ipv4(datagram)
    assert.equal(decodePacket(new Packet(ip), 0, ip.length), true)
  })
})

describe('decodePacket on any bytes', () => {
  const wild = fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes))
  const nearly = fc
    .tuple(
      fc.constantFrom(
        ipv4(datagram),
        ipv4(datagram, { options: Buffer.alloc(12) }),
        ipv6(datagram),
        with6(hopByHop, fragment(0, true), authentication(), routing),
      ),
      fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 4 }),
      fc.nat(120),
    )
    .map(([ip, changes, length]) => {
      const changed = Buffer.from(ip)
      for (const [at, byte] of changes) if (at < changed.length) changed[at] = byte
      return changed.subarray(0, length)
    })
  const versioned = wild.map(bytes => {
    if (bytes.length > 0) bytes[0] = ((bytes[0] as number) & 0x1f) | 0x40 | ((bytes[0] as number) & 0x20)
    return bytes
  })
  const input = fc.oneof(wild, nearly, versioned)

  it('never throws, and what lies around the packet makes no difference', () => {
    fc.assert(
      fc.property(input, fc.nat(255), fc.nat(64), (ip, filler, margin) => {
        const alone = decode(ip, { before: 0, after: 0 })
        const between = decode(ip, { before: margin, after: 100, filler })
        assert.equal(between.version, alone.version)
        if (alone.version === 0) return
        for (const field of ['protocol', 'sourcePort', 'destinationPort', 'payloadLength'] as const) {
          assert.equal(between[field], alone[field], field)
        }
        for (const field of ['sourceAt', 'payloadAt'] as const) {
          assert.equal(between[field] - margin, alone[field], field)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('never points outside of the packet', () => {
    fc.assert(
      fc.property(input, ip => {
        const packet = decode(ip, { before: 0, after: 0 })
        if (packet.version === 0) return
        const { sourceAt, version, payloadAt, payloadLength } = packet
        assert.ok(sourceAt + (version === 4 ? 4 : 16) <= ip.length)
        assert.ok(payloadAt + payloadLength <= ip.length)
      }),
      { numRuns: 3000 },
    )
  })
})

describe('sourceText', () => {
  it('reads the source where the packet has it', () => {
    assert.equal(sourceText(decode(ipv4(datagram, { source: [10, 1, 2, 3] }))), '10.1.2.3')
    assert.equal(sourceText(decode(ipv6(datagram, { source: documentation6 }))), '2001:db8::1')
  })
})
