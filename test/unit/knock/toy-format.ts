/**
 * A format of 32 bytes that no release has, as a template for new ones: `TOY1`, Unix time in seconds (8 bytes,
 * little-endian), 4 random bytes, and 16 of HMAC-SHA-256 over the port and these 16.
 */
import { createHmac } from 'node:crypto'
// A format in src/knock imports './format.js'.
import type { KnockFormat } from '../../../src/knock/format.js'

interface ToySecret {
  readonly key: Buffer
}

const firstWord = 0x544f5931
const macAt = 16
const macLength = 16

function macOf(bytes: Buffer, at: number, port: number, { key }: ToySecret): Buffer {
  const mac = createHmac('sha256', key).update(Buffer.from([port >> 8, port & 0xff]))
  return mac
    .update(bytes.subarray(at, at + macAt))
    .digest()
    .subarray(0, macLength)
}

export const toy: KnockFormat<ToySecret> = {
  id: 'toy',
  payloadLength: macAt + macLength,
  carriesAddress: false,
  secretOf: ({ key }) => ({ key: Buffer.from(key) }),
  identityOf: ({ key }) => Buffer.concat([Buffer.from('toy '), key]),
  firstWord: () => firstWord,
  verify(bytes, at, port, secret) {
    const given = bytes.subarray(at + macAt, at + macAt + macLength)
    if (!macOf(bytes, at, port, secret).equals(given)) return undefined
    // What no number holds exactly counts as the largest one that does, and is out of any skew.
    const time = Math.min(Number(bytes.readBigUInt64LE(at + 4)), Number.MAX_SAFE_INTEGER)
    return { time, digestAt: at + macAt }
  },
  encode({ port, time, random }, secret) {
    const packet = Buffer.alloc(macAt + macLength)
    packet.writeUInt32BE(firstWord, 0)
    packet.writeBigUInt64LE(BigInt(Math.floor(time)), 4)
    random(4).copy(packet, 12)
    macOf(packet, 0, port, secret).copy(packet, macAt)
    return packet
  },
}
