/** What comes out of the queue, before any of it is trusted. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { knockFormats } from '../../../src/config/credentials/credential-types.js'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import { ReplayCache } from '../../../src/controller/replay/replay-cache.js'
import { KnockVerifier } from '../../../src/controller/verify/verifier.js'
import type { KnockFormat } from '../../../src/knock/format.js'
import { makeContainer } from '../../../src/knock/fwknop/container.js'
import type { FwknopSecret } from '../../../src/knock/fwknop/fwknop-format.js'
import { fwknop } from '../../../src/knock/fwknop/fwknop-format.js'
import { parseIdentity } from '../../../src/knock/pk1/identity.js'
import type { SymmetricSecret } from '../../../src/knock/pk1/symmetric.js'
import { encodePkd } from '../../../src/knock/pkd.js'
import { parseAddress } from '../../../src/net/addresses.js'
import { socketAddress } from '../../../src/queue/datagram.js'
import { readQueuedPacket } from '../../../src/queue/netlink.js'
import { decodePacket, Packet, sourceText } from '../../../src/queue/packet.js'
import { root } from '../../support/commands.js'
import { fwknopKeys } from '../../support/fwknop.js'
import { laptop, payloadOf, TestClock } from '../../unit/controller/knock-support.js'
import { ipv4, ipv6, tcp, udp } from '../../unit/queue/build-packet.js'
import { isClear } from '../properties.js'
import type { Target } from '../target.js'

const before = 13
const after = 64

/** In the middle of a buffer full of `filler`. */
const surrounded = (input: Buffer, filler: number) =>
  new Packet(Buffer.concat([Buffer.alloc(before, filler), input, Buffer.alloc(after, filler)]))

const fieldsOf = ({ buffer: _, ...fields }: Packet) => fields

/** That what was read lies in the input, and that nothing around it was looked at. */
function readsOnlyInput(input: Buffer, read: (packet: Packet) => boolean): void {
  const packet = surrounded(input, 0)
  const other = surrounded(input, 0xff)
  assert.equal(read(packet), read(other))
  assert.deepEqual(fieldsOf(packet), fieldsOf(other))
  const end = before + input.length
  if (packet.addressVersion !== 0) {
    assert.ok(packet.sourceAt >= before && packet.sourceAt + (packet.addressVersion === 4 ? 8 : 32) <= end)
  }
  if (packet.version === 0) return
  assert.ok(packet.payloadAt >= before && packet.payloadAt + packet.payloadLength <= end, 'the payload is outside')
  assert.ok(packet.payloadLength >= 0)
  isClear(sourceText(packet))
}

const packets = [
  ipv4(udp({ payload: payloadOf() })),
  ipv4(tcp()),
  ipv4(tcp({ words: 15 }), { protocol: 6, options: Buffer.alloc(40) }),
  ipv6(udp({ payload: payloadOf() })),
  ipv6(tcp(), {
    protocol: 6,
    extensions: [
      { type: 0, bytes: Buffer.alloc(8) },
      { type: 44, bytes: Buffer.alloc(8) },
    ],
  }),
  ipv6(udp(), {
    extensions: [
      { type: 51, bytes: Buffer.alloc(16) },
      { type: 60, bytes: Buffer.alloc(8) },
    ],
  }),
]

function attribute(type: number, content: Buffer): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt16LE(content.length + 4, 0)
  header.writeUInt16LE(type, 2)
  return Buffer.concat([header, content, Buffer.alloc(-content.length & 3)])
}

function queued(ip: Buffer): Buffer {
  const header = Buffer.from('0000000700110800', 'hex')
  const mark = Buffer.from('00010000', 'hex')
  const body = Buffer.concat([attribute(1, header), attribute(3, mark), attribute(10, ip)])
  const start = Buffer.alloc(20)
  start.writeUInt32LE(start.length + body.length, 0)
  start.writeUInt16LE(0x300, 4)
  return Buffer.concat([start, body])
}

const right = payloadOf()
const onBehalf: PacketCredential = { ...laptop, onBehalfOf: ['0.0.0.0/0', '::/0'] }

/** Payload of a knock for a port, as any format has them, and what else each is made of. */
interface Vector {
  readonly outcome: string
  readonly payload: string
}
const vectors = knockFormats.all.flatMap(({ id }) => {
  const text = fs.readFileSync(path.join(root, 'test/vectors', `${id}.json`), 'utf8')
  return (JSON.parse(text) as { cases: Vector[] }).cases
})
const payloads = [right, ...vectors.map(({ payload }) => Buffer.from(payload, 'hex'))]
const known = new Set(payloads.map(payload => payload.toString('hex')))
/** The keys of most of fwknop's vectors. */
const fwknopSecret: FwknopSecret = {
  key: Buffer.from(fwknopKeys.key),
  hmacKey: Buffer.from(fwknopKeys['hmac-key']),
  hmac: 'sha256',
  user: null,
  requireSourceAddress: false,
  expires: null,
  maxWindow: 300,
}
/** Those of the vectors of the symmetric knock. */
const symmetricSecret: SymmetricSecret = {
  identity: parseIdentity('pk1:zVyP11ophIXNQEHOFDJezoC9VSLw72gfrePjs-oV_08') as Buffer,
  key: Buffer.from('298e330f60ea5acaf8e210a58312a79516b9133bfe21bf0650bd8cdc174badc1', 'hex'),
}
const knockPorts = [22, 40_000, 0, 65_535]

export const packetTargets: readonly Target[] = [
  {
    name: 'netlink',
    runs: 5000,
    seeds: packets.map(queued),
    run: input => readsOnlyInput(input, packet => readQueuedPacket(packet, before, input.length)),
  },
  {
    name: 'headers',
    runs: 5000,
    seeds: packets,
    run: input => readsOnlyInput(input, packet => decodePacket(packet, before, before + input.length)),
  },
  {
    name: 'knock-formats',
    runs: 2000,
    seeds: payloads,
    run(input) {
      for (const format of knockFormats.all) {
        const source = format.varied ? fwknopSecret : format.rotation ? symmetricSecret : laptop.secret
        const secret = format.secretOf(source)
        // A longer input can begin with a whole packet of a format that has several lengths.
        const lengths = format.varied
          ? format.varied.lengths(secret).filter(one => one === input.length)
          : [format.payloadLength]
        for (const length of lengths) {
          const bytes = Buffer.concat([Buffer.alloc(3, 0xaa), input], 3 + length + 5)
          const payload = bytes.subarray(3, 3 + length)
          for (const port of knockPorts) {
            const knock = format.verify(bytes, 3, port, secret, length)
            assert.ok(knock === undefined || known.has(payload.toString('hex')), 'a changed knock is accepted')
          }
        }
      }
    },
  },
  {
    name: 'fwknop-line',
    seeds: [
      Buffer.from('1111222233334444:YWxpY2U:1700000000:3.0.0:1:MTkyLjAuMi43LHRjcC8yMg'),
      Buffer.from('1111222233334444:YWxpY2U:1700000000:3.0.0:3:MTkyLjAuMi43LHRjcC8yMg:aHVudGVy:90'),
    ],
    run(input) {
      // A sender with the keys can send any line with a right digest.
      const digest = createHash('sha256').update(input).digest('base64').slice(0, 43)
      const packet = makeContainer(Buffer.concat([input, Buffer.from(`:${digest}`)]), Buffer.alloc(8, 5), fwknopSecret)
      const knock = fwknop.verify(packet, 0, 1, fwknopSecret, packet.length)
      if (knock === undefined) return
      assert.ok(Number.isSafeInteger(knock.time))
      assert.ok((knock.refused === undefined) === (knock.asks !== undefined))
      for (const { port } of knock.asks?.ports ?? []) assert.ok(port >= 1 && port <= 65_535)
      assert.ok(knock.sender === undefined || parseAddress(knock.sender.address).address === knock.sender.address)
    },
  },
  {
    name: 'verifier',
    runs: 3000,
    seeds: packets,
    run(input) {
      const memory = new ReplayCache({ skew: laptop.skew, entries: 10 })
      const verifier = new KnockVerifier([onBehalf], () => memory, new TestClock())
      const packet = surrounded(input, 0x55)
      decodePacket(packet, before, before + input.length)
      const decision = verifier.verify(packet)
      if (decision.kind === 'refuse') {
        assert.equal(memory.size, decision.knock && decision.reason !== 'skewed' ? 1 : 0, 'a stranger takes memory')
        return
      }
      const payload = packet.buffer.subarray(packet.payloadAt, packet.payloadAt + packet.payloadLength)
      assert.ok(payload.equals(right), 'a changed knock is granted')
      const again = verifier.verify(packet)
      assert.equal(again.kind === 'refuse' && again.reason, 'replayed')
    },
  },
  {
    name: 'encoding',
    seeds: [Buffer.alloc(28, 7)],
    run(input) {
      const bytes = Buffer.concat([input], 28)
      const time = Number(bytes.readBigUInt64LE(0) & 0x1fffffffffffffn)
      const key = Buffer.concat([input.subarray(0, 40)], 40) as Parameters<typeof encodePkd>[2]
      const fields = { tag: bytes.subarray(8, 12), time, random: bytes.subarray(12, 24) }
      const port = bytes.readUInt16BE(24)
      const payload = encodePkd(fields, port, key)
      const format = knockFormats.of('pkd')[0] as KnockFormat
      const secret = { tag: fields.tag, key }
      assert.equal(format.verify(payload, 0, port, secret, payload.length)?.time, time)
      const bit = bytes.readUInt16BE(26) % (payload.length * 8)
      payload[bit >> 3] = (payload[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.equal(format.verify(payload, 0, port, secret, payload.length), undefined, `bit ${bit} does not count`)
    },
  },
  {
    name: 'notify-socket',
    seeds: ['/run/systemd/notify', '@abstract', '@', '/', `/${'x'.repeat(110)}`],
    run(input) {
      const text = input.toString()
      let address
      try {
        address = socketAddress(text)
      } catch (error) {
        assert.match((error as Error).message, /cannot be a socket's address$/)
        isClear((error as Error).message)
        return
      }
      assert.ok(address.length <= 110)
    },
  },
]
