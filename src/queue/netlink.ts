/**
 * The two netlink messages of a queue, byte by byte (linux/netlink.h, linux/netfilter/nfnetlink_queue.h):
 * a queued packet comes in, verdicts go out. Numbers of netlink itself are in the machine's byte order, which is
 * little-endian on every machine that pkctl's libraries are built for; those of nfnetlink_queue are big-endian.
 */
import type { Packet } from './packet.js'
import { decodePacket } from './packet.js'

const headerLength = 16
const nfgenLength = 4
const subsystemQueue = 3
const messagePacket = subsystemQueue << 8
const messageVerdict = (subsystemQueue << 8) | 1
const requestFlag = 1

const attributePacketHeader = 1
const attributeVerdict = 2
const attributeMark = 3
const attributePayload = 10

/** NF_ACCEPT. Packets are dropped by the ruleset, which knows them by their mark. */
const verdictAccept = 1

/**
 * Reads the message of `length` bytes at `at` into `packet`. False when it is no queued packet. A packet whose headers
 * cannot be read still has its id and mark, for it must be answered too.
 */
export function readQueuedPacket(packet: Packet, at: number, length: number): boolean {
  const { buffer } = packet
  if (length < headerLength + nfgenLength) return false
  const end = at + Math.min(length, buffer.readUInt32LE(at))
  if (buffer.readUInt16LE(at + 4) !== messagePacket) return false
  packet.mark = 0
  packet.version = packet.addressVersion = 0
  let hasId = false
  let payloadAt = -1
  let payloadEnd = -1
  for (let attribute = at + headerLength + nfgenLength; attribute + 4 <= end;) {
    const size = buffer.readUInt16LE(attribute)
    if (size < 4 || attribute + size > end) break
    const type = buffer.readUInt16LE(attribute + 2) & 0x3fff
    if (type === attributePacketHeader && size >= 8) {
      packet.id = buffer.readUInt32BE(attribute + 4)
      hasId = true
    } else if (type === attributeMark && size >= 8) packet.mark = buffer.readUInt32BE(attribute + 4)
    else if (type === attributePayload) {
      payloadAt = attribute + 4
      payloadEnd = attribute + size
    }
    attribute += (size + 3) & ~3
  }
  if (hasId && payloadAt >= 0) decodePacket(packet, payloadAt, payloadEnd)
  return hasId
}

/** The message in which the kernel hands over a packet, with the attributes that `readQueuedPacket` looks at. */
export function composeQueuedPacket(id: number, mark: number, payload: Buffer): Buffer {
  const payloadAt = headerLength + nfgenLength + 12 + 8
  const bytes = Buffer.alloc(payloadAt + 4 + ((payload.length + 3) & ~3))
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt16LE(messagePacket, 4)
  let at = headerLength + nfgenLength
  bytes.writeUInt16LE(11, at)
  bytes.writeUInt16LE(attributePacketHeader, at + 2)
  bytes.writeUInt32BE(id, at + 4)
  at += 12
  bytes.writeUInt16LE(8, at)
  bytes.writeUInt16LE(attributeMark, at + 2)
  bytes.writeUInt32BE(mark, at + 4)
  bytes.writeUInt16LE(4 + payload.length, payloadAt)
  bytes.writeUInt16LE(attributePayload, payloadAt + 2)
  payload.copy(bytes, payloadAt + 4)
  return bytes
}

/** Bytes of one verdict with a mark. */
export const verdictLength = headerLength + nfgenLength + 12 + 8

/** A buffer with room for `count` verdicts, in which all that is the same for each of them is already written. */
export function verdictBuffer(count: number, queue: number): Buffer {
  const buffer = Buffer.alloc(count * verdictLength)
  for (let at = 0; at < buffer.length; at += verdictLength) {
    buffer.writeUInt32LE(verdictLength, at)
    buffer.writeUInt16LE(messageVerdict, at + 4)
    buffer.writeUInt16LE(requestFlag, at + 6)
    buffer.writeUInt16BE(queue, at + headerLength + 2)
    const verdictAt = at + headerLength + nfgenLength
    buffer.writeUInt16LE(12, verdictAt)
    buffer.writeUInt16LE(attributeVerdict, verdictAt + 2)
    buffer.writeUInt32BE(verdictAccept, verdictAt + 4)
    buffer.writeUInt16LE(8, verdictAt + 12)
    buffer.writeUInt16LE(attributeMark, verdictAt + 14)
  }
  return buffer
}

/** Writes the verdict number `index` of the buffer: the packet goes on with this mark. */
export function writeVerdict(buffer: Buffer, index: number, id: number, mark: number): void {
  const at = index * verdictLength + headerLength + nfgenLength
  buffer.writeUInt32BE(id, at + 8)
  buffer.writeUInt32BE(mark, at + 16)
}
