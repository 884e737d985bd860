/**
 * That pkctl's own knock looks random to everyone without the server's identity: thousands of knocks of one user, all in one
 * window, from the same request, signer and signature. All that they differ by is what a knock draws at random, here from a
 * fixed seed, so that the result is the same each time.
 */
import assert from 'node:assert/strict'
import { createCipheriv, createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { plainRequest } from '../../../../src/knock/pk1/request.js'
import type { Signer } from '../../../../src/knock/pk1/signed.js'
import { draftSigned, newServerKey } from '../../../../src/knock/pk1/signed.js'
import { sealSymmetric } from '../../../../src/knock/pk1/symmetric.js'

const prefixBytes = 8
const time = 1_790_000_000_000n
const port = 62_201

const bytesOf = (text: string) => createHash('sha256').update(text).digest()

/** Random bytes that are the same in each run. */
function seeded(seed: string): (size: number) => Buffer {
  const stream = createCipheriv('aes-256-ctr', bytesOf(seed), Buffer.alloc(16))
  return size => stream.update(Buffer.alloc(size))
}

const { identity } = newServerKey(seeded('server'))
const signature = Buffer.alloc(64)

const signedBy = (signer: Signer) => (random: (size: number) => Buffer) =>
  draftSigned(plainRequest(time), signer, identity, port, random)?.seal(signature)

const kinds: readonly [knocks: number, name: string, make: (random: (size: number) => Buffer) => Buffer | undefined][] =
  [
    [
      10_000,
      'symmetric',
      random => sealSymmetric(plainRequest(time), port, random(16), { identity, key: bytesOf('device') }),
    ],
    [10_000, 'signed by a key', signedBy({ fingerprint: bytesOf('user') })],
    // Four times as many bytes: as many as take some seconds.
    [5000, 'signed with a certificate', signedBy({ certificate: Buffer.alloc(400) })],
  ]

/**
 * Pearson's statistic for 256 equally frequent values. Its mean is 255, its standard deviation 22.6. Of random bytes it
 * exceeds 450 less often than once in 10^12 times.
 */
function chiSquare(counts: Uint32Array): number {
  const total = counts.reduce((sum, count) => sum + count, 0)
  const expected = total / counts.length
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
}
const mostChiSquare = 450

for (const [knocks, name, make] of kinds) {
  describe(`${knocks} knocks that are ${name}`, () => {
    const random = seeded(name)
    const packets = Array.from({ length: knocks }, () => make(random) ?? assert.fail('the request fits'))
    const [{ length } = Buffer.alloc(0)] = packets

    it('have the same prefix, and no other byte has a value more often than others, at any position', () => {
      const prefix = packets[0]?.subarray(0, prefixBytes)
      const all = new Uint32Array(256)
      for (let at = prefixBytes; at < length; at++) {
        const counts = new Uint32Array(256)
        for (const packet of packets) counts[packet[at] as number] = (counts[packet[at] as number] as number) + 1
        for (const [value, count] of counts.entries()) all[value] = (all[value] as number) + count
        const statistic = chiSquare(counts)
        assert.ok(statistic < mostChiSquare, `byte ${at}: ${statistic}`)
      }
      assert.ok(chiSquare(all) < mostChiSquare, `all bytes: ${chiSquare(all)}`)
      assert.ok(
        packets.every(packet => prefix?.equals(packet.subarray(0, prefixBytes))),
        'the prefix',
      )
    })

    it('share no 8 bytes but the prefix, at whatever positions', () => {
      // The first six of each eight as a number. Where two are the same, which is rare, all eight are compared.
      const places = length - prefixBytes - 7
      const numbers = new Float64Array(knocks * places)
      let count = 0
      for (const packet of packets) {
        for (let at = prefixBytes; at + 8 <= length; at++) numbers[count++] = packet.readUIntBE(at, 6)
      }
      assert.equal(count, numbers.length)
      numbers.sort()
      const repeated = new Set<number>()
      for (let i = 1; i < count; i++) if (numbers[i] === numbers[i - 1]) repeated.add(numbers[i] as number)
      assert.ok(repeated.size < 10, `${repeated.size} times the same six bytes`)
      const seen = new Set<string>()
      for (const packet of repeated.size > 0 ? packets : []) {
        for (let at = prefixBytes; at + 8 <= length; at++) {
          if (!repeated.has(packet.readUIntBE(at, 6))) continue
          const eight = packet.toString('hex', at, at + 8)
          assert.ok(!seen.has(eight), `${eight} comes twice`)
          seen.add(eight)
        }
      }
    })
  })
}
