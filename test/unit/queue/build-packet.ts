/** IP packets for tests, built byte by byte, with every field that a test may want to lie about. */
import { decodePacket, Packet } from '../../../src/queue/packet.js'

interface UdpOptions {
  readonly sourcePort?: number
  readonly port?: number
  readonly payload?: Buffer
  /** The header's own length field. */
  readonly length?: number
}

export function udp({ sourcePort = 1234, port = 40_000, payload = Buffer.alloc(0), length }: UdpOptions = {}): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt16BE(sourcePort, 0)
  header.writeUInt16BE(port, 2)
  header.writeUInt16BE(length ?? 8 + payload.length, 4)
  return Buffer.concat([header, payload])
}

export function tcp({ sourcePort = 1234, port = 22, words = 5 } = {}): Buffer {
  const header = Buffer.alloc(20)
  header.writeUInt16BE(sourcePort, 0)
  header.writeUInt16BE(port, 2)
  header[12] = words << 4
  header[13] = 0x02
  return header
}

interface Ipv4Options {
  readonly source?: readonly number[]
  readonly protocol?: number
  /** Bytes of options, a multiple of 4. */
  readonly options?: Buffer
  /** Flags and offset, as they stand in the header. */
  readonly fragment?: number
  readonly headerWords?: number
  readonly totalLength?: number
}

export function ipv4(transport: Buffer, given: Ipv4Options = {}): Buffer {
  const { source = [192, 0, 2, 1], protocol = 17, options = Buffer.alloc(0), fragment = 0 } = given
  const header = Buffer.alloc(20)
  header[0] = 0x40 | (given.headerWords ?? 5 + options.length / 4)
  header.writeUInt16BE(given.totalLength ?? 20 + options.length + transport.length, 2)
  header.writeUInt16BE(fragment, 6)
  header[8] = 64
  header[9] = protocol
  header.set(source, 12)
  header.set([198, 51, 100, 1], 16)
  return Buffer.concat([header, options, transport])
}

/** One IPv6 extension header: its type, and its bytes, the first of which names the next one and is filled in. */
export interface Extension {
  readonly type: number
  readonly bytes: Buffer
}

interface Ipv6Options {
  readonly source?: Buffer
  readonly protocol?: number
  readonly extensions?: readonly Extension[]
  readonly payloadLength?: number
}

export const documentation6 = Buffer.from('20010db8000000000000000000000001', 'hex')

export function ipv6(transport: Buffer, given: Ipv6Options = {}): Buffer {
  const { source = documentation6, protocol = 17, extensions = [] } = given
  const chain = extensions.map(({ bytes }, i) => {
    const filled = Buffer.from(bytes)
    filled[0] = extensions[i + 1]?.type ?? protocol
    return filled
  })
  const payload = Buffer.concat([...chain, transport])
  const header = Buffer.alloc(40)
  header[0] = 0x60
  header.writeUInt16BE(given.payloadLength ?? payload.length, 4)
  header[6] = extensions[0]?.type ?? protocol
  header[7] = 64
  source.copy(header, 8)
  header[39] = 2
  return Buffer.concat([header, payload])
}

/** Decodes a packet that lies in the middle of a larger buffer. */
export function decode(ip: Buffer, { before = 7, after = 9, filler = 0xff } = {}): Packet {
  const buffer = Buffer.concat([Buffer.alloc(before, filler), ip, Buffer.alloc(after, filler)])
  const packet = new Packet(buffer)
  decodePacket(packet, before, before + ip.length)
  return packet
}
