/**
 * A storm of packets, run in the client's namespace: builds its frames, says `ready`, and soon after sends them through
 * a packet socket, many with each system call. Prints what came of it as JSON.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { parseIdentity } from '../../src/knock/pk1/identity.js'
import { plainRequest } from '../../src/knock/pk1/request.js'
import { sealSymmetric, symmetricLength } from '../../src/knock/pk1/symmetric.js'
import { sealPacket } from '../../src/knock/pk1/envelope.js'
import { filterKeys } from '../../src/knock/pk1/identity.js'
import { packetPrefix, periodOf, prefixLength } from '../../src/knock/pk1/period.js'
import { encodePkd, parsePkdKey, parseTag, payloadLength, pkdTagLength } from '../../src/knock/pkd.js'
import { knockPort } from '../support/knocks.js'
import { addressNumber } from './addresses.js'
import type { Link } from './frames.js'
import { Frames } from './frames.js'
import { addressOf, familyPacket, int32, mustCall, sockRaw, tryCall } from './libc.js'

export interface Storm {
  readonly device: string
  readonly link: Link
  readonly destination: string
  /**
   * Right knocks; packets with a knock's tag and length and nothing else right; packets without even these. Of pkctl's own
   * knock: its length alone; with the prefix of this minute; made with the identity and a key that the server does not know.
   */
  readonly kind: 'knocks' | 'shaped' | 'rubbish' | 'own-length' | 'own-prefix' | 'own-identity'
  /** Of pkctl's own knock, if it is not a symmetric one: that of a signed one. */
  readonly length?: number
  /** The server's, for pkctl's own knock. */
  readonly identity?: string
  /** The source of the first frame, as a number. */
  readonly source: number
  /** Each frame from the address after the one before, or all from one. */
  readonly sources: 'many' | 'one'
  /** The UDP port that they are sent to, if not that of PKD knocks. */
  readonly port?: number
  /** Frames to build. Right knocks are sent once, others again and again. */
  readonly count: number
  /** Packets a second; 0 for as many as can be. */
  readonly rate: number
  readonly seconds: number
}

export interface StormResult {
  readonly sent: number
  readonly seconds: number
}

const maxRubbish = 200
const maxSeconds = 60
const batchSize = 64
/** How long whoever waits for `ready` has for looking at counters. */
const delayMicroseconds = 300_000

const nanoseconds = () => Number(process.hrtime.bigint())

/** A knock by a user whom no server knows. */
function strangersKnock(identity: string, port: number): Buffer {
  const secret = { identity: parseIdentity(identity) ?? Buffer.alloc(32), key: randomBytes(32) }
  const packet = sealSymmetric(plainRequest(BigInt(Date.now())), port, randomBytes(16), secret)
  if (!packet) throw new Error('a plain request fits')
  return packet
}

/** Rubbish behind the check of a signed knock, which only who has the identity can make. */
function rubbishBehindCheck(identity: Buffer, port: number, length: number): Buffer {
  const hidden = randomBytes(ephemeralLength)
  hidden[ephemeralLength - 1] = (hidden[ephemeralLength - 1] as number) & 0x7f
  const keys = filterKeys(identity)
  const prefix = packetPrefix(keys, periodOf(BigInt(Date.now())))
  const body = Buffer.alloc(length - plainLength - ephemeralLength)
  return sealPacket({ keys, prefix, salt: randomBytes(16), hidden, key: randomBytes(32), body, port })
}

const ephemeralLength = 32
/** Prefix, salt, check, and the tag behind the ciphertext. */
const plainLength = 8 + 16 + 16 + 16

function buildFrames(storm: Storm): Frames {
  const { kind, count, link, source, sources, rate, destination, port = knockPort, identity = '' } = storm
  const { length = symmetricLength } = storm
  const frames = new Frames(count, Math.max(maxRubbish, payloadLength, length), link)
  const prefix = strangersKnock(identity, port).subarray(0, prefixLength)
  const [key, tag] = [parsePkdKey('test'), parseTag('SSHK')]
  const noise = randomBytes(count * payloadLength)
  const now = Math.floor(Date.now() / 1000)
  const payloadOf = (i: number): Buffer => {
    const random = noise.subarray(i * payloadLength, (i + 1) * payloadLength)
    if (kind === 'rubbish') return randomBytes(randomInt(maxRubbish))
    if (kind === 'own-length') return randomBytes(length)
    if (kind === 'own-prefix') return Buffer.concat([prefix, randomBytes(length - prefixLength)])
    if (kind === 'own-identity') {
      if (length === symmetricLength) return strangersKnock(identity, port)
      return rubbishBehindCheck(parseIdentity(identity) ?? Buffer.alloc(32), port, length)
    }
    if (kind === 'shaped') return Buffer.concat([tag, random.subarray(pkdTagLength)])
    // Stamped as if sent when it will be, as knocks of many clients are.
    const time = now + 1 + Math.floor(i / (rate || count))
    return encodePkd({ tag, time, random: random.subarray(0, 12) }, knockPort, key)
  }
  for (let i = 0; i < count; i++) {
    frames.write(i, {
      source: sources === 'many' ? source + i : source,
      destination: addressNumber(destination),
      sourcePort: knockPort,
      destinationPort: port,
      payload: payloadOf(i),
    })
  }
  return frames
}

/** linux/if_packet.h, linux/if_ether.h */
const solPacket = 263
const qdiscBypass = 20
const etherTypeIp = 0x0800

function openPacketSocket(device: string): number {
  const descriptor = mustCall('socket', familyPacket, sockRaw, 0)
  const address = Buffer.alloc(20)
  address.writeUInt16LE(familyPacket, 0)
  address.writeUInt16BE(etherTypeIp, 2)
  address.writeInt32LE(mustCall('if_nametoindex', device), 4)
  mustCall('bind', descriptor, address, address.length)
  mustCall('setsockopt', descriptor, solPacket, qdiscBypass, int32(1), 4)
  return descriptor
}

/** sizeof(struct mmsghdr) and struct iovec on 64-bit machines, and where the pointer to the latter is in the former. */
const messageLength = 64
const vectorLength = 16
const vectorAt = 16

function send(storm: Storm, frames: Frames): StormResult {
  const descriptor = openPacketSocket(storm.device)
  const messages = Buffer.alloc(batchSize * messageLength)
  const vectors = Buffer.alloc(batchSize * vectorLength)
  const framesAddress = addressOf(frames.buffer)
  const vectorsAddress = addressOf(vectors)
  for (let i = 0; i < batchSize; i++) {
    messages.writeBigUInt64LE(vectorsAddress + BigInt(i * vectorLength), i * messageLength + vectorAt)
    messages.writeBigUInt64LE(1n, i * messageLength + vectorAt + 8)
  }
  const { rate, kind } = storm
  const total = kind === 'knocks' ? storm.count : Infinity
  const duration = Math.min(storm.seconds, maxSeconds) * 1e9
  const start = nanoseconds()
  let sent = 0
  for (let elapsed = 0; sent < total && elapsed < duration; elapsed = nanoseconds() - start) {
    const due = Math.min(total, rate > 0 ? Math.floor((elapsed / 1e9) * rate) : Infinity)
    const batch = Math.min(batchSize, due - sent)
    if (batch < 1) {
      tryCall('usleep', 200)
      continue
    }
    for (let i = 0; i < batch; i++) {
      const index = (sent + i) % frames.count
      vectors.writeBigUInt64LE(framesAddress + BigInt(index * frames.place), i * vectorLength)
      vectors.writeUInt32LE(frames.lengths[index] as number, i * vectorLength + 8)
    }
    const { value } = tryCall('sendmmsg', descriptor, messages, batch, 0)
    // The way to the other side is full: what is beyond that cannot be offered.
    if (value <= 0) tryCall('usleep', 50)
    else sent += value
  }
  const seconds = (nanoseconds() - start) / 1e9
  mustCall('close', descriptor)
  return { sent, seconds }
}

if (process.argv[2] !== undefined) {
  const storm = JSON.parse(process.argv[2]) as Storm
  const frames = buildFrames(storm)
  process.stdout.write('ready\n')
  tryCall('usleep', delayMicroseconds)
  const result = send(storm, frames)
  // Also keeps the frames in memory until here, of whose use by the kernel the garbage collector knows nothing.
  if (frames.buffer.length > 0) process.stdout.write(`${JSON.stringify(result)}\n`)
}
