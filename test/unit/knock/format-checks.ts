/** What must be true of every format of one packet, as checks that throw; a new format gets them without more code. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { KnockFormat, KnockRequest, VerifiedKnock } from '../../../src/knock/format.js'
import { addressBytes, parseAddress } from '../../../src/net/addresses.js'

/** A packet, and what a receiver with this secret makes of it. */
export interface Vector {
  readonly name: string
  readonly outcome: string
  readonly secret: unknown
  readonly port: number
  /** Hex. */
  readonly payload: string
  /** What an accepted one was made of: Unix seconds, and hex. */
  readonly time?: number
  readonly random?: string
  readonly address?: string
  readonly asks?: KnockRequest['asks']
}

type Check = (format: KnockFormat, vectors: readonly Vector[]) => void

const bytesOf = (address: string) => Buffer.from(addressBytes(parseAddress(address).address), 'latin1')
const textOf = (bytes: Buffer) =>
  bytes.length === 4
    ? bytes.join('.')
    : Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':')

/** How long its packets are. */
export const lengthsOf = ({ payloadLength, varied }: KnockFormat, secret: unknown): readonly number[] =>
  varied ? varied.lengths(secret) : [payloadLength]

/** Whether it begins as packets for this secret do. */
const beginsRight = (format: KnockFormat, bytes: Buffer, secret: unknown, time: number): boolean =>
  format.varied?.firstBytes.includes(bytes[0] as number) ?? bytes.readUInt32BE(0) === format.firstWord(secret, time)

/** What is verified of the packet that these bytes are. */
const verified = (format: KnockFormat, bytes: Buffer, port: number, secret: unknown) =>
  format.verify(bytes, 0, port, secret, bytes.length)

function outcomeOf(format: KnockFormat, { secret, port, payload, time = 0 }: Vector): string {
  const bytes = Buffer.from(payload, 'hex')
  if (!lengthsOf(format, secret).includes(bytes.length)) return 'malformed'
  if (!beginsRight(format, bytes, secret, time)) return 'unknown-tag'
  const knock = verified(format, bytes, port, secret)
  if (!knock) return 'bad-hash'
  return knock.refused ?? (knock.requested === null ? 'address-not-allowed' : 'accepted')
}

const accepted = (vectors: readonly Vector[]) => {
  const found = vectors.filter(({ outcome }) => outcome === 'accepted')
  assert.ok(found.length > 0, 'no vector is accepted')
  return found
}

const octets = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map(bytes => Buffer.from(bytes))
const port = fc.integer({ min: 1, max: 65_535 })
const time = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 32 + 5 }),
  fc.maxSafeNat(),
  // Clients have a clock of milliseconds.
  fc.integer({ min: 0, max: 2 ** 42 }).map(milliseconds => milliseconds / 1000),
)
// Not ::ffff:0:0/96, which no format asks for.
const address = fc.oneof(
  octets(4),
  octets(16).map(bytes => Buffer.concat([Buffer.from([0x20]), bytes.subarray(1)])),
)
const request = fc.record({ port, time, seed: octets(64), address }, { noNullPrototype: true })
type Request = typeof request extends fc.Arbitrary<infer R> ? R : never

/** A packet for what was drawn. */
function encoded(format: KnockFormat, { port, time, seed, address }: Request, secret: unknown): Buffer {
  const asked = format.carriesAddress ? { address } : {}
  return format.encode({ port, time, random: size => seed.subarray(0, size), ...asked }, secret)
}

function checkKnock(format: KnockFormat, knock: VerifiedKnock | undefined, request: Request, at: number): void {
  assert.ok(knock, 'what was encoded is refused')
  // A format leaves out what it has no room for, of fractions alone.
  const isTime = knock.time >= Math.floor(request.time) && knock.time <= request.time
  assert.ok(isTime, `it has another time: ${knock.time} for ${request.time}`)
  assert.ok(knock.digestAt >= at && knock.digestAt + 16 <= at + format.payloadLength, 'the digest is not in the packet')
  assert.equal(knock.requested?.address, format.carriesAddress ? textOf(request.address) : undefined)
}

export const formatChecks = {
  /** Vectors come to their outcomes. */
  vectors: (format: KnockFormat, vectors: readonly Vector[]) => {
    for (const vector of vectors) assert.equal(outcomeOf(format, vector), vector.outcome, vector.name)
    const outcomes = new Set(vectors.map(({ outcome }) => outcome))
    for (const outcome of ['accepted', 'malformed', 'unknown-tag', 'bad-hash'])
      assert.ok(outcomes.has(outcome), `no vector is ${outcome}`)
  },

  /** Accepted vectors are encoded to the same bytes, and tell their time. */
  encoding: (format: KnockFormat, vectors: readonly Vector[]) => {
    for (const { name, secret, port, payload, time, random, address, asks } of accepted(vectors)) {
      assert.ok(time !== undefined && random !== undefined, name)
      assert.equal(address !== undefined, format.carriesAddress, name)
      const asked = { ...(address === undefined ? {} : { address: bytesOf(address) }), ...(asks ? { asks } : {}) }
      const bytes = format.encode({ port, time, random: () => Buffer.from(random, 'hex'), ...asked }, secret)
      assert.equal(bytes.toString('hex'), payload, name)
      assert.equal(verified(format, bytes, port, secret)?.time, time, name)
    }
  },

  /** Verifies what was encoded, wherever it is in a buffer, for its port and secret alone. */
  verifying: (format: KnockFormat, vectors: readonly Vector[]) => {
    const secrets = accepted(vectors).map(({ secret }) => secret)
    const others = secrets.filter(secret => !format.identityOf(secret).equals(format.identityOf(secrets[0])))
    assert.ok(others.length > 0, 'all vectors have the same secret')
    const drawn = [fc.constantFrom(...secrets), request, port, fc.nat(40), fc.nat(40)] as const
    const property = fc.property(...drawn, (secret, request, otherPort, before, after) => {
      const packet = encoded(format, request, secret)
      const buffer = Buffer.concat([Buffer.alloc(before, 0xa5), packet, Buffer.alloc(after, 0x5a)])
      checkKnock(format, format.verify(buffer, before, request.port, secret, packet.length), request, before)
      if (otherPort !== request.port && format.isForAnyPort !== true)
        assert.equal(verified(format, packet, otherPort, secret), undefined, 'verified for another port')
      for (const other of secrets) {
        const same = format.identityOf(other).equals(format.identityOf(secret))
        // Packets that begin otherwise are not tried with it.
        const tried =
          lengthsOf(format, other).includes(packet.length) && beginsRight(format, packet, other, request.time)
        const isVerified = tried && verified(format, packet, request.port, other) !== undefined
        assert.equal(isVerified, same, 'verified by another secret')
      }
    })
    fc.assert(property, { numRuns: 50 })
  },

  /** Refuses a packet with any one bit changed. */
  bits: (format: KnockFormat, vectors: readonly Vector[]) => {
    const secrets = accepted(vectors).map(({ secret }) => secret)
    const property = fc.property(fc.constantFrom(...secrets), request, (secret, request) => {
      const packet = encoded(format, request, secret)
      for (let bit = 0; bit < packet.length * 8; bit++) {
        const at = bit >> 3
        const byte = packet[at] as number
        packet[at] = byte ^ (1 << (bit & 7))
        assert.equal(verified(format, packet, request.port, secret), undefined, `bit ${bit}`)
        packet[at] = byte
      }
      assert.ok(verified(format, packet, request.port, secret))
    })
    fc.assert(property, { numRuns: 10 })
  },

  /** Throws on no bytes, and takes none of them. */
  garbage: (format: KnockFormat, vectors: readonly Vector[]) => {
    const secrets = accepted(vectors).map(({ secret }) => secret)
    const drawn = [fc.constantFrom(...secrets), octets(format.payloadLength), port, fc.boolean(), fc.nat()] as const
    const property = fc.property(...drawn, (secret, all, port, starts, which) => {
      const lengths = lengthsOf(format, secret)
      const bytes = all.subarray(0, lengths[which % lengths.length])
      if (starts && format.varied) bytes[0] = format.varied.firstBytes[0] as number
      else if (starts) bytes.writeUInt32BE(format.firstWord(secret, 0), 0)
      assert.equal(verified(format, bytes, port, secret), undefined, 'random bytes are taken')
    })
    fc.assert(property, { numRuns: 300 })
  },

  /** Encodes packets of its length and first word. */
  shape: (format: KnockFormat, vectors: readonly Vector[]) => {
    const secrets = accepted(vectors).map(({ secret }) => secret)
    const property = fc.property(fc.constantFrom(...secrets), request, (secret, request) => {
      const packet = encoded(format, request, secret)
      assert.ok(lengthsOf(format, secret).includes(packet.length), 'length')
      assert.ok(packet.length <= format.payloadLength, 'length')
      assert.ok(beginsRight(format, packet, secret, request.time), 'first word')
    })
    fc.assert(property, { numRuns: 50 })
  },

  /** Two knocks of one second have two digests. */
  digests: (format: KnockFormat, vectors: readonly Vector[]) => {
    const [{ secret } = { secret: undefined }] = accepted(vectors)
    const property = fc.property(request, octets(64), (one, seed) => {
      if (seed.subarray(0, 4).equals(one.seed.subarray(0, 4))) return
      const digests = [one, { ...one, seed }].map(request => {
        const packet = encoded(format, request, secret)
        const at = verified(format, packet, request.port, secret)?.digestAt ?? 0
        return packet.toString('hex', at, at + 16)
      })
      assert.notEqual(digests[0], digests[1], 'two knocks have one digest')
    })
    fc.assert(property, { numRuns: 50 })
  },

  /** Has its secret again after a message to another thread. */
  posting: (format: KnockFormat, vectors: readonly Vector[]) => {
    for (const { secret, port, payload, name } of accepted(vectors)) {
      const posted = format.secretOf(structuredClone(secret))
      assert.deepEqual(posted, secret, 'the secret is not restored')
      assert.ok(format.identityOf(posted).equals(format.identityOf(secret)), name)
      assert.ok(verified(format, Buffer.from(payload, 'hex'), port, posted), name)
    }
  },
} satisfies Readonly<Record<string, Check>>
