/**
 * IP and transport headers of a queued packet, as far as a knock needs them (RFC 791, RFC 8200, RFC 768, RFC 9293).
 * Nothing is copied: a Packet points into the buffer that the netlink message was read into, and is used again.
 */
import type { IpFamily } from '../net/index.js'
import { addressFromBytes, protocolTcp, protocolUdp } from '../net/index.js'

const tcpHeaderLength = 20

export class Packet {
  /** The kernel's number for it in this queue, as the verdict needs it. */
  id = 0
  /** The packet mark with which it was queued. */
  mark = 0
  /** Where the addresses, headers and payload are. */
  buffer: Buffer
  /** 4 or 6; 0 when the headers could not be read: then nothing below means anything. */
  version: 0 | IpFamily = 0
  /** 4 or 6 when the addresses could be read, also where nothing behind them could; else 0. */
  addressVersion: 0 | IpFamily = 0
  /** Offset of the source address: 4 or 16 bytes; the destination's follows it. */
  sourceAt = 0
  /** IANA protocol number. */
  protocol = 0
  sourcePort = 0
  destinationPort = 0
  /** Offset and length of what follows the UDP header, by the header's own length field. */
  payloadAt = 0
  payloadLength = 0
  /** The flags of a TCP header, without ECN's; 0 for other protocols. */
  tcpFlags = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }
}

const extensionHopByHop = 0
const extensionRouting = 43
const extensionFragment = 44
const extensionAuthentication = 51
const extensionDestination = 60
/** More than a real packet has, fewer than make a loop worth an attacker's while. */
const maxExtensions = 8

/**
 * Fills `packet` from the IP packet in its buffer from `start` up to `end`. False when it is cut off, contradicts
 * itself, or is not the first fragment; then `version` is 0. Never reads outside the range and never throws.
 */
export function decodePacket(packet: Packet, start: number, end: number): boolean {
  packet.version = packet.addressVersion = 0
  if (end - start < 20) return false
  const version = (packet.buffer[start] as number) >> 4
  if (version === 4) return decodeIpv4(packet, start, end)
  if (version === 6) return decodeIpv6(packet, start, end)
  return false
}

function decodeIpv4(packet: Packet, start: number, end: number): boolean {
  const { buffer } = packet
  const headerLength = ((buffer[start] as number) & 15) * 4
  const totalLength = buffer.readUInt16BE(start + 2)
  const fragmentOffset = buffer.readUInt16BE(start + 6) & 0x1fff
  if (headerLength < 20 || totalLength < headerLength || fragmentOffset !== 0) return false
  packet.sourceAt = start + 12
  packet.addressVersion = 4
  packet.protocol = buffer[start + 9] as number
  return decodeTransport(packet, 4, start + headerLength, Math.min(end, start + totalLength), start + totalLength)
}

function decodeIpv6(packet: Packet, start: number, end: number): boolean {
  const { buffer } = packet
  if (end - start < 40) return false
  const declared = start + 40 + buffer.readUInt16BE(start + 4)
  const limit = Math.min(end, declared)
  packet.sourceAt = start + 8
  packet.addressVersion = 6
  let next = buffer[start + 6] as number
  let at = start + 40
  for (let i = 0; i <= maxExtensions; i++) {
    const isFragment = next === extensionFragment
    const isAuthentication = next === extensionAuthentication
    if (next !== extensionHopByHop && next !== extensionRouting && next !== extensionDestination) {
      if (!isFragment && !isAuthentication) {
        packet.protocol = next
        return decodeTransport(packet, 6, at, limit, declared)
      }
    }
    if (at + 8 > limit) return false
    if (isFragment && buffer.readUInt16BE(at + 2) >> 3 !== 0) return false
    next = buffer[at] as number
    const units = buffer[at + 1] as number
    at += isFragment ? 8 : isAuthentication ? (units + 2) * 4 : (units + 1) * 8
  }
  return false
}

/** `declared` is where the packet ends by its own account, and `limit` where what there is of it does. */
function decodeTransport(packet: Packet, version: IpFamily, at: number, limit: number, declared: number): boolean {
  const { buffer } = packet
  if (at + 8 > limit) return false
  packet.sourcePort = buffer.readUInt16BE(at)
  packet.destinationPort = buffer.readUInt16BE(at + 2)
  packet.payloadAt = at + 8
  packet.payloadLength = 0
  packet.tcpFlags = 0
  if (packet.protocol === protocolTcp) {
    if (at + tcpHeaderLength > limit) return false
    const headerLength = ((buffer[at + 12] as number) >> 4) * 4
    if (headerLength < tcpHeaderLength || at + headerLength > limit) return false
    packet.tcpFlags = (buffer[at + 13] as number) & 63
  }
  if (packet.protocol === protocolUdp) {
    const length = buffer.readUInt16BE(at + 4)
    if (length < 8 || at + length > declared) return false
    // Of a long one the queue has the beginning alone: it can be a step of a sequence, and no knock by its payload.
    packet.payloadLength = at + length > limit ? 0 : length - 8
  }
  packet.version = version
  return true
}

/** A packet that outlives the buffer which it came in. */
export function copyOfPacket(packet: Packet): Packet {
  const from = Math.min(packet.sourceAt, packet.payloadAt)
  const buffer = Buffer.from(packet.buffer.subarray(from, packet.payloadAt + packet.payloadLength))
  const copy = Object.assign(new Packet(buffer), packet, { buffer })
  copy.sourceAt -= from
  copy.payloadAt -= from
  return copy
}

/** The source address as text. */
export function sourceText(packet: Packet): string {
  return addressFromBytes(packet.buffer, packet.sourceAt, packet.version === 6 ? 6 : 4)
}
