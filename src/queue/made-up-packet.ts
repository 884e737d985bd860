/**
 * Queued packets that no kernel queued: they take the way of a real one through this code, so that it is compiled before
 * the first real one comes.
 */
import { protocolTcp, protocolUdp } from '../net/index.js'
import type { Batch, QueueLoop } from './nfqueue.js'
import { answeredLater } from './nfqueue.js'
import { composeQueuedPacket, readQueuedPacket, verdictBuffer, writeVerdict } from './netlink.js'
import { Packet } from './packet.js'

const ipHeaderLength = 20
const udpHeaderLength = 8
const tcpHeaderLength = 20
const synFlag = 2

type MadeUpProtocol = typeof protocolTcp | typeof protocolUdp

/** An IPv4 datagram, or a TCP packet that starts a connection, from 192.0.2.0/24, an address block for documentation, which nothing uses. */
function datagram(payload: Buffer, port: number, host: number, protocol: MadeUpProtocol): Buffer {
  const headerLength = protocol === protocolTcp ? tcpHeaderLength : udpHeaderLength
  const bytes = Buffer.alloc(ipHeaderLength + headerLength + payload.length)
  bytes[0] = 0x45
  bytes.writeUInt16BE(bytes.length, 2)
  bytes[9] = protocol
  bytes.set([192, 0, 2, host], 12)
  bytes.writeUInt16BE(port, ipHeaderLength)
  bytes.writeUInt16BE(port, ipHeaderLength + 2)
  if (protocol === protocolTcp) {
    bytes[ipHeaderLength + 12] = (tcpHeaderLength / 4) << 4
    bytes[ipHeaderLength + 13] = synFlag
  } else bytes.writeUInt16BE(udpHeaderLength + payload.length, ipHeaderLength + 4)
  payload.copy(bytes, ipHeaderLength + headerLength)
  return bytes
}

/** Decides on a datagram with this payload, port and mark as `PacketQueue.run` does, and sends the answer nowhere. */
export function answerMadeUp(
  payload: Buffer,
  port: number,
  mark: number,
  loop: Pick<QueueLoop, 'onBatch' | 'onAnswered'>,
  protocol: MadeUpProtocol = protocolUdp,
): void {
  const message = composeQueuedPacket(1, mark, datagram(payload, port, mark & 0xff, protocol))
  const packet = new Packet(message)
  const batch: Batch = { packets: [packet], count: 1, answers: new Float64Array(1) }
  if (!readQueuedPacket(packet, 0, message.length)) return
  batch.answers[0] = packet.mark
  loop.onBatch(batch)
  const answer = batch.answers[0]
  if (answer !== answeredLater) writeVerdict(verdictBuffer(1, 0), 0, packet.id, answer)
  loop.onAnswered()
}
