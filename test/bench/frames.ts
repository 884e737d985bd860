/** Ethernet frames with UDP datagrams in IPv4, byte by byte (IEEE 802.3, RFC 791, RFC 768), in one piece of memory. */

const ethernetLength = 14
const ipLength = 20
const udpLength = 8
const headersLength = ethernetLength + ipLength + udpLength

export interface Link {
  /** Hardware addresses, as the system writes them: 02:00:… */
  readonly from: string
  readonly to: string
}

export interface Datagram {
  readonly source: number
  readonly destination: number
  readonly sourcePort: number
  readonly destinationPort: number
  readonly payload: Buffer
}

/** Frames in places of equal size, one behind the other. */
export class Frames {
  readonly buffer: Buffer
  /** Bytes of each place, and of the frame in it. */
  readonly place: number
  readonly lengths: Uint16Array

  constructor(
    readonly count: number,
    maxPayload: number,
    link: Link,
  ) {
    this.place = headersLength + maxPayload
    this.buffer = Buffer.alloc(count * this.place)
    this.lengths = new Uint16Array(count)
    const ethernet = Buffer.from(`${link.to}${link.from}0800`.replaceAll(':', ''), 'hex')
    for (let i = 0; i < count; i++) ethernet.copy(this.buffer, i * this.place)
  }

  write(index: number, { source, destination, sourcePort, destinationPort, payload }: Datagram): void {
    const { buffer } = this
    const ip = index * this.place + ethernetLength
    this.lengths[index] = headersLength + payload.length
    buffer.writeUInt16BE(0x4500, ip)
    buffer.writeUInt16BE(ipLength + udpLength + payload.length, ip + 2)
    buffer.writeUInt32BE(0x4000, ip + 4) // not to be fragmented
    buffer.writeUInt16BE(0x4011, ip + 8) // 64 hops, UDP
    buffer.writeUInt16BE(0, ip + 10)
    buffer.writeUInt32BE(source, ip + 12)
    buffer.writeUInt32BE(destination, ip + 16)
    let sum = 0
    for (let at = 0; at < ipLength; at += 2) sum += buffer.readUInt16BE(ip + at)
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
    buffer.writeUInt16BE(~sum & 0xffff, ip + 10)
    const udp = ip + ipLength
    buffer.writeUInt16BE(sourcePort, udp)
    buffer.writeUInt16BE(destinationPort, udp + 2)
    buffer.writeUInt16BE(udpLength + payload.length, udp + 4)
    buffer.writeUInt16BE(0, udp + 6) // IPv4 can do without the checksum
    payload.copy(buffer, udp + udpLength)
  }
}
