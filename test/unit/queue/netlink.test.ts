import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { readQueuedPacket, verdictBuffer, verdictLength, writeVerdict } from '../../../src/queue/netlink.js'
import { Packet } from '../../../src/queue/packet.js'
import { ipv4, udp } from './build-packet.js'

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')

function attribute(type: number, content: Buffer, length = content.length + 4): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt16LE(length, 0)
  header.writeUInt16LE(type, 2)
  return Buffer.concat([header, content, Buffer.alloc(-content.length & 3)])
}

// linux/netfilter/nfnetlink_queue.h
const packetHeader = attribute(1, hex('00000102 0800 01 00'))
const mark = attribute(3, hex('80020003'))
const inputDevice = attribute(5, hex('00000007'))
const hardwareAddress = attribute(8, hex('0006 0000 02aabbccddee 0000'))
const ip = ipv4(udp({ payload: Buffer.from('odd') })) // 31 bytes: the attribute is padded
const payload = attribute(10, ip)
const captureLength = attribute(13, hex('0000001f'))

function message(attributes: readonly Buffer[], { type = 0x300, length = -1 } = {}): Buffer {
  const body = Buffer.concat([hex('02 00 003e'), ...attributes])
  const header = Buffer.alloc(16)
  header.writeUInt32LE(length < 0 ? 16 + body.length : length, 0)
  header.writeUInt16LE(type, 4)
  return Buffer.concat([header, body])
}

/** Reads the message in the middle of a larger buffer, into a packet that still has what came before. */
function read(bytes: Buffer, { before = 5, after = 6 } = {}) {
  const packet = new Packet(Buffer.concat([Buffer.alloc(before, 0xee), bytes, Buffer.alloc(after, 0xee)]))
  Object.assign(packet, { id: 99, mark: 0xdead, version: 6, destinationPort: 1 })
  const queued = readQueuedPacket(packet, before, bytes.length)
  return { queued, packet }
}

interface Seen {
  readonly id: number
  readonly mark: number
  readonly version: number
  readonly port: number
}

function seen(bytes: Buffer): Seen | undefined {
  const { queued, packet } = read(bytes)
  if (!queued) return undefined
  const { id, mark, version } = packet
  return { id, mark, version, port: version === 0 ? 0 : packet.destinationPort }
}

const whole: Seen = { id: 0x102, mark: 0x80020003, version: 4, port: 40_000 }

describe('readQueuedPacket', () => {
  const table: readonly [string, Buffer, Seen | undefined][] = [
    ['as the kernel sends it', message([packetHeader, inputDevice, mark, hardwareAddress, payload]), whole],
    ['attributes the other way round', message([payload, hardwareAddress, mark, inputDevice, packetHeader]), whole],
    [
      'unknown attributes between',
      message([captureLength, packetHeader, attribute(77, hex('01')), mark, payload]),
      whole,
    ],
    ['without a mark', message([packetHeader, payload]), { ...whole, mark: 0 }],
    ['without a payload', message([packetHeader, mark]), { ...whole, version: 0, port: 0 }],
    [
      'with an empty payload',
      message([packetHeader, mark, attribute(10, Buffer.alloc(0))]),
      { ...whole, version: 0, port: 0 },
    ],
    [
      'with a payload that is no IP',
      message([packetHeader, attribute(10, Buffer.alloc(60))]),
      { id: 0x102, mark: 0, version: 0, port: 0 },
    ],
    ['nested flag set', message([attribute(0x8001, packetHeader.subarray(4)), mark, payload]), whole],
    ['byte order flag set', message([packetHeader, attribute(0x4003, mark.subarray(4)), payload]), whole],
    ['bytes behind the message', Buffer.concat([message([packetHeader, mark, payload]), mark, hex('ffff')]), whole],
    ['header with one more byte', message([attribute(1, hex('00000102 0800 01 00 00')), mark, payload]), whole],
    [
      'mark of two bytes, not looked at',
      message([packetHeader, attribute(3, hex('8002')), payload]),
      { ...whole, mark: 0 },
    ],
    ['header of three bytes, not looked at', message([attribute(1, hex('000001')), mark, payload]), undefined],
    ['no header', message([mark, payload]), undefined],
    ['no attributes', message([]), undefined],
    [
      'attribute of length 0 ends it',
      message([packetHeader, hex('0000 0300'), mark]),
      { id: 0x102, mark: 0, version: 0, port: 0 },
    ],
    [
      'attribute of length 3 ends it',
      message([packetHeader, hex('0300 0300'), mark]),
      { id: 0x102, mark: 0, version: 0, port: 0 },
    ],
    [
      'attribute beyond the end',
      message([packetHeader, mark, attribute(10, ip, 400)]),
      { ...whole, version: 0, port: 0 },
    ],
    [
      'message that says it is shorter',
      message([packetHeader, mark, payload], { length: 20 + 12 + 8 }),
      { ...whole, version: 0, port: 0 },
    ],
    ['message that says it is longer', message([packetHeader, mark, payload], { length: 60_000 }), whole],
    ['message that says it has no length', message([packetHeader, mark, payload], { length: 0 }), undefined],
    ['a verdict', message([packetHeader, mark, payload], { type: 0x301 }), undefined],
    ['an error', message([packetHeader, mark, payload], { type: 2 }), undefined],
    ['of another subsystem', message([packetHeader, mark, payload], { type: 0x400 }), undefined],
  ]
  for (const [name, bytes, want] of table) it(name, () => assert.deepEqual(seen(bytes), want))

  it('cut off at every byte: the id is there or it is no packet, and never more than was read', () => {
    const bytes = message([packetHeader, mark, payload])
    for (let length = 0; length < bytes.length; length++) {
      const got = seen(bytes.subarray(0, length))
      const afterPayload = bytes.length - 1 // one byte of padding, which need not be there
      const want = length < 32 ? undefined : { id: 0x102, mark: length < 40 ? 0 : whole.mark }
      assert.deepEqual(got && { id: got.id, mark: got.mark }, want, `${length} bytes`)
      assert.equal(got?.version ?? 0, length < afterPayload ? 0 : 4, `${length} bytes`)
    }
  })

  it('never throws on any bytes, and what lies around them makes no difference', () => {
    const wild = fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes))
    const attributes = fc
      .array(
        fc.tuple(fc.integer({ min: 0, max: 14 }), fc.uint8Array({ maxLength: 40 }), fc.integer({ min: -9, max: 9 })),
      )
      .map(list =>
        message(
          list.map(([type, bytes, lie]) =>
            attribute(type, Buffer.from(bytes), Math.max(0, bytes.length + 4 + (lie > 6 ? lie : 0))),
          ),
        ),
      )
    const changed = fc.tuple(fc.nat(90), fc.nat(255)).map(([at, byte]) => {
      const bytes = message([packetHeader, mark, payload])
      bytes[Math.min(at, bytes.length - 1)] = byte
      return bytes
    })
    fc.assert(
      fc.property(fc.oneof(wild, attributes, changed), bytes => {
        const alone = read(bytes, { before: 0, after: 0 })
        const between = read(bytes, { before: 33, after: 300 })
        assert.equal(between.queued, alone.queued)
        if (!alone.queued) return
        for (const field of ['id', 'mark', 'version'] as const) assert.equal(between.packet[field], alone.packet[field])
      }),
      { numRuns: 2000 },
    )
  })
})

describe('verdicts', () => {
  const golden = `
    28000000 0103 0100 00000000 00000000   length 40, type verdict, flags request, sequence, port
    00 00 003e                             family, version, queue 62
    0c00 0200 00000001 00000102            attribute verdict: accept, id 0x102
    0800 0300 80040003                     attribute mark`
    .replaceAll(/ {3}[a-z].*/g, '')
    .replaceAll(/\s/g, '')

  it('are, byte by byte, what the kernel reads', () => {
    const buffer = verdictBuffer(1, 62)
    writeVerdict(buffer, 0, 0x102, 0x80040003)
    assert.equal(buffer.toString('hex'), golden)
  })

  it('stand one behind the other, each on its own', () => {
    const buffer = verdictBuffer(3, 62)
    writeVerdict(buffer, 1, 0x102, 0x80040003)
    writeVerdict(buffer, 2, 0xffffffff, 0)
    assert.equal(buffer.length, 3 * verdictLength)
    assert.equal(buffer.toString('hex', verdictLength, 2 * verdictLength), golden)
    const last = buffer.subarray(2 * verdictLength)
    assert.deepEqual([last.readUInt32BE(24), last.readUInt32BE(28), last.readUInt32BE(36)], [1, 0xffffffff, 0])
  })

  it('written anew leave nothing of what was there', () => {
    const buffer = verdictBuffer(1, 62)
    writeVerdict(buffer, 0, 0xffffffff, 0xffffffff)
    writeVerdict(buffer, 0, 0x102, 0x80040003)
    assert.equal(buffer.toString('hex'), golden)
  })

  for (const queue of [0, 255, 256, 65_535]) {
    it(`for queue ${queue}`, () => assert.equal(verdictBuffer(1, queue).readUInt16BE(18), queue))
  }
})
