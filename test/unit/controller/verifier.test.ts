import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import type { Decision, FirstDecision } from '../../../src/controller/verify/decision.js'
import { refusals, refusedUnverified } from '../../../src/controller/verify/decision.js'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import { ReplayCache } from '../../../src/controller/replay/replay-cache.js'
import { KnockVerifier } from '../../../src/controller/verify/verifier.js'
import { root } from '../../support/commands.js'
import type { Packet } from '../../../src/queue/packet.js'
import { decode, ipv4, tcp, udp } from '../queue/build-packet.js'
import type { KnockParts } from './knock-support.js'
import { knock, laptop, payloadOf, pkdSecret, start, TestClock } from './knock-support.js'
import { staff, verified } from './signed-support.js'

/** A verifier with its memories in view. */
function gate(credentials: readonly PacketCredential[] = [laptop], entries = 1000) {
  const clock = new TestClock()
  const memories: ReplayCache[] = []
  const memoryOf = ({ skew }: PacketCredential) => {
    const memory = new ReplayCache({ skew, entries })
    memories.push(memory)
    return memory
  }
  const verifier = new KnockVerifier(credentials, memoryOf, clock)
  return { clock, memories, decide: (parts: KnockParts) => outcome(verifier.verify(knock(parts))), verifier }
}

/** `laptop` where that credential is granted, else the reason. */
const outcome = (decision: FirstDecision) =>
  decision.kind === 'grant' ? decision.credential.name : decision.kind === 'refuse' ? decision.reason : 'to verify'

const phone: PacketCredential = { ...laptop, ...pkdSecret('SSHK', 'other'), name: 'phone', action: 4 }
const fixed: PacketCredential = { ...laptop, name: 'fixed', port: 2000 }
const zero: PacketCredential = { ...laptop, ...pkdSecret('', 'test'), name: 'zero' }
const anyClock: PacketCredential = { ...laptop, name: 'any clock', skew: -1 }

const payload = payloadOf()

describe('the decision on one knock', () => {
  const table: readonly { name: string; packet: KnockParts; want: string; credentials?: PacketCredential[] }[] = [
    { name: 'right', packet: {}, want: 'laptop' },
    { name: 'right, IPv6', packet: { version: 6 }, want: 'laptop' },
    { name: 'right, to another port', packet: { port: 1 }, want: 'laptop' },
    { name: 'right, with bytes behind the datagram', packet: { trailing: 20 }, want: 'laptop' },
    { name: 'zero tag', packet: { tag: '' }, want: 'zero', credentials: [zero] },
    { name: 'second of two that share a tag', packet: { key: 'other' }, want: 'phone', credentials: [laptop, phone] },
    { name: 'first of two that share a tag', packet: {}, want: 'laptop', credentials: [laptop, phone] },
    { name: 'neither of two that share a tag', packet: { key: 'x' }, want: 'bad-hash', credentials: [laptop, phone] },
    { name: 'one byte short', packet: { payload: payload.subarray(0, 55) }, want: 'malformed' },
    { name: 'one byte long', packet: { payload: Buffer.concat([payload, Buffer.alloc(1)]) }, want: 'malformed' },
    { name: 'no payload', packet: { payload: Buffer.alloc(0) }, want: 'malformed' },
    { name: 'a knock behind a datagram of no length', packet: { udpLength: 8 }, want: 'malformed' },
    { name: 'a knock in a datagram that says less', packet: { udpLength: 63 }, want: 'malformed' },
    { name: 'a datagram that says more than there is', packet: { udpLength: 65 }, want: 'malformed' },
    { name: 'other tag', packet: { tag: 'SSHJ' }, want: 'unknown-tag' },
    { name: 'no credentials', packet: {}, want: 'unknown-tag', credentials: [] },
    { name: 'wrong key', packet: { key: 'tes' }, want: 'bad-hash' },
    { name: 'hashed for another port', packet: { hashedFor: 40_001 }, want: 'bad-hash' },
    { name: 'bound to this port', packet: { port: 2000 }, want: 'fixed', credentials: [fixed] },
    { name: 'bound to another port', packet: { port: 2001 }, want: 'wrong-port', credentials: [fixed] },
    { name: 'wrong key and wrong port', packet: { key: 'x' }, want: 'wrong-port', credentials: [fixed] },
    { name: 'one bound elsewhere, one right', packet: {}, want: 'laptop', credentials: [fixed, laptop] },
    { name: 'one bound elsewhere, one of another key', packet: {}, want: 'bad-hash', credentials: [fixed, phone] },
    { name: 'skew ahead', packet: { time: start + 10 }, want: 'laptop' },
    { name: 'skew behind', packet: { time: start - 10 }, want: 'laptop' },
    { name: 'skew + 1 ahead', packet: { time: start + 11 }, want: 'skewed' },
    { name: 'skew + 1 behind', packet: { time: start - 11 }, want: 'skewed' },
    { name: 'skewed with a wrong key', packet: { time: 0, key: 'x' }, want: 'bad-hash' },
    { name: 'any clock, time 0', packet: { time: 0 }, want: 'any clock', credentials: [anyClock] },
    { name: 'any clock, year 10000', packet: { time: 253402300800 }, want: 'any clock', credentials: [anyClock] },
    { name: 'skew 0, now', packet: {}, want: 'laptop', credentials: [{ ...laptop, skew: 0 }] },
    { name: 'skew 0, one off', packet: { time: start + 1 }, want: 'skewed', credentials: [{ ...laptop, skew: 0 }] },
  ]
  for (const { name, packet, want, credentials } of table) {
    it(`${want}: ${name}`, () => assert.equal(gate(credentials).decide(packet), want))
  }

  it('of TCP and of what could not be read is malformed', () => {
    const { verifier } = gate()
    assert.equal(outcome(verifier.verify(decode(ipv4(tcp(), { protocol: 6 })))), 'malformed')
    const other = Object.assign(knock(), { protocol: 6 })
    assert.equal(outcome(verifier.verify(other)), 'malformed')
    const unread = knock()
    unread.version = 0
    assert.equal(outcome(verifier.verify(unread)), 'malformed')
  })

  it('does not read what the packet before left in the buffer', () => {
    const { verifier } = gate()
    const packet = knock()
    packet.payloadLength = 0
    assert.equal(outcome(verifier.verify(packet)), 'malformed')
  })

  it('is link-local for a source on a link that nothing names, also where the rest is right', () => {
    const from = (credential: PacketCredential, version: 4 | 6, ...start: number[]) => {
      const packet = knock({ version, source: start.length + (start[1] ?? 0) })
      Buffer.from(start).copy(packet.buffer, packet.sourceAt)
      return outcome(gate([credential]).verifier.verify(packet))
    }
    const onOneLink = { ...laptop, linkLocal: true }
    for (const [version, ...address] of [
      [4, 169, 254],
      [6, 0xfe, 0x80],
      [6, 0xfe, 0xbf],
    ] as const) {
      assert.equal(from(laptop, version, ...address), 'link-local')
      assert.equal(from(onOneLink, version, ...address), 'laptop')
    }
    for (const [version, ...address] of [
      [4, 169, 253],
      [4, 0xfe, 0x80],
      [6, 0xfe, 0xc0],
      [6, 0xfd, 0x80],
      [6, 169, 254],
    ] as const)
      assert.equal(from(laptop, version, ...address), 'laptop')
  })

  it('tells how far the clock of the client is ahead', () => {
    const { verifier } = gate()
    for (const time of [start + 7, start - 7, start + 99, start - 99]) {
      const { clockDifferenceSeconds } = verifier.verify(knock({ time })) as Decision
      assert.equal(clockDifferenceSeconds, time - start)
    }
    assert.equal((verifier.verify(knock({ key: 'x' })) as Decision).clockDifferenceSeconds, undefined)
  })

  interface Vector extends KnockParts {
    readonly name: string
    readonly outcome: string
    readonly payload: never
  }
  const file = path.join(root, 'test/vectors/pkd.json')
  const vectors = (JSON.parse(fs.readFileSync(file, 'utf8')) as { cases: Vector[] }).cases
  it('is the one that the shared vectors want', () => {
    for (const { name, outcome, key = '', tag = '', port = 0, payload } of vectors) {
      const credential = { ...anyClock, ...pkdSecret(tag, key), name: 'accepted' }
      assert.equal(gate([credential]).decide({ port, payload: Buffer.from(payload, 'hex') }), outcome, name)
    }
  })
})

describe("a stranger's packets", () => {
  const strangers: readonly (readonly [string, KnockParts])[] = [
    ['malformed', { payload: payload.subarray(0, 55) }],
    ['empty', { payload: Buffer.alloc(0) }],
    ['of an unknown tag', { tag: 'XXXX' }],
    ['of a wrong key', { key: 'wrong' }],
    ['of a wrong key, from the future', { key: 'wrong', time: start + 1e9 }],
    ['for another port', { hashedFor: 1 }],
    ['with the right knock and a flipped bit in its hash', { flip: 55 * 8 }],
    ['with the right knock and a flipped bit in its time', { flip: 11 * 8 }],
  ]
  for (const [name, packet] of strangers) {
    it(`change nothing: ${name}`, () => {
      const { decide, memories } = gate([{ ...laptop, rate: { count: 1, seconds: 60 } }], 1)
      for (let i = 0; i < 20; i++) {
        assert.ok(refusedUnverified.has(decide({ name: String(i), ...packet }) as (typeof refusals)[number]))
      }
      assert.deepEqual(
        memories.map(({ size, floor }) => [size, floor]),
        [[0, -Infinity]],
      )
      assert.equal(decide({}), 'laptop', 'the right knock right after them')
    })
  }

  it('are told from those behind a right hash by the reason alone', () => {
    assert.deepEqual(refusals.slice(0, refusedUnverified.size), [...refusedUnverified])
  })
})

describe('knocks one after the other', () => {
  const limited = { ...laptop, rate: { count: 1, seconds: 5 } }
  type Step = readonly [parts: KnockParts, want: string, secondsBefore?: number]
  const table: readonly (readonly [string, readonly PacketCredential[], readonly Step[]])[] = [
    [
      'a knock opens once',
      [laptop],
      [
        [{}, 'laptop'],
        [{}, 'replayed'],
        [{ source: 2 }, 'replayed'],
        [{ version: 6 }, 'replayed'],
      ],
    ],
    [
      'two knocks of the same second are two',
      [laptop],
      [
        [{}, 'laptop'],
        [{ name: 'b' }, 'laptop'],
      ],
    ],
    [
      'ahead by the skew: not again for as long as it is acceptable',
      [laptop],
      [
        [{ time: start + 10 }, 'laptop'],
        [{ time: start + 10 }, 'replayed', 20],
        [{ time: start + 10 }, 'skewed', 1],
      ],
    ],
    [
      'forgotten, and the clock set back',
      [laptop],
      [
        [{}, 'laptop'],
        [{ time: start + 100, name: 'b' }, 'laptop', 100],
        [{}, 'stale', -100],
      ],
    ],
    [
      'skewed is not used up: it opens when its time has come',
      [laptop],
      [
        [{ time: start + 12 }, 'skewed'],
        [{ time: start + 12 }, 'laptop', 2],
      ],
    ],
    [
      'skewed takes nothing from the share',
      [limited],
      [
        [{ time: start + 12 }, 'skewed'],
        [{}, 'laptop'],
      ],
    ],
    [
      'rate-limited is used up, whoever sends it again',
      [limited],
      [
        [{}, 'laptop'],
        [{ name: 'b' }, 'rate-limited'],
        [{ name: 'b' }, 'replayed', 6],
        [{ name: 'b', source: 2 }, 'replayed'],
        [{ name: 'c' }, 'laptop'],
      ],
    ],
    [
      'a replay takes nothing from the share',
      [{ ...limited, rate: { count: 2, seconds: 60 } }],
      [
        [{}, 'laptop'],
        [{}, 'replayed'],
        [{}, 'replayed'],
        [{ name: 'b' }, 'laptop'],
        [{ name: 'c' }, 'rate-limited'],
      ],
    ],
    [
      'the share is per source',
      [limited],
      [
        [{}, 'laptop'],
        [{ name: 'b', source: 2 }, 'laptop'],
        [{ name: 'c', version: 6 }, 'laptop'],
        [{ name: 'd', version: 6, source: 9 }, 'rate-limited'],
      ],
    ],
    [
      'the share is per credential',
      [limited, { ...phone, rate: limited.rate }],
      [
        [{}, 'laptop'],
        [{ key: 'other' }, 'phone'],
        [{ name: 'b' }, 'rate-limited'],
      ],
    ],
    [
      'each credential has its memory',
      [laptop, phone],
      [
        [{}, 'laptop'],
        [{ key: 'other' }, 'phone'],
        [{ key: 'other' }, 'replayed'],
      ],
    ],
    [
      'an old knock never gets in again with any clock',
      [anyClock],
      [
        [{ time: 5 }, 'any clock'],
        [{ time: 5 }, 'replayed', 1e6],
        [{ time: 4 }, 'any clock'],
      ],
    ],
  ]
  for (const [name, credentials, steps] of table) {
    it(name, () => {
      const { decide, clock } = gate(credentials)
      for (const [i, [parts, want, secondsBefore = 0]] of steps.entries()) {
        clock.pass(secondsBefore)
        assert.equal(decide(parts), want, `step ${i}`)
      }
    })
  }

  it('a full memory refuses, and lets in again what was not honoured', () => {
    const { decide, clock } = gate([laptop], 2)
    assert.deepEqual(
      [decide({}), decide({ name: 'b' }), decide({ name: 'c', time: start + 10 })],
      ['laptop', 'laptop', 'memory-full'],
    )
    clock.pass(15)
    assert.equal(decide({ name: 'c', time: start + 10 }), 'laptop')
  })

  it('the share grows by the monotonic clock, whatever the other does', () => {
    const { decide, clock } = gate([{ ...limited, skew: -1 }])
    assert.equal(decide({}), 'laptop')
    clock.wall += 1000
    assert.equal(decide({ name: 'b' }), 'rate-limited')
    clock.wall -= 2000
    clock.steady += 5
    assert.equal(decide({ name: 'c' }), 'laptop')
  })
})

describe('what another credential adds to a signed knock', () => {
  const line = { signer: { user: 'alice', fingerprint: 'SHA256:abc' }, services: ['web'] }
  const rights = { opens: null, window: null, prefix4: null, prefix6: null, onBehalfOf: [], asksOutside: false }
  const added = { ...line, credential: 'guests', rights }
  const adds = (verifier: KnockVerifier, packet: Packet, id: number, more = [added]) => {
    const request = {
      ...{ time: (start + id) * 1000, close: false, window: null, prefix: null },
      other: null,
      host: null,
    }
    const outcome = verified(id, { request: { ...request, services: [] }, more })
    const decision = verifier.decideSigned(packet, outcome)
    assert.equal(decision.kind, 'grant')
    return decision.more?.length ?? 0
  }
  const signed = (n: number) => ({ payload: Buffer.alloc(200, n + 1) })

  it('is limited by the rate of that credential, once for each knock', () => {
    const guests = { ...staff, name: 'guests', rate: { count: 1, seconds: 100 } }
    const { verifier } = gate([staff, guests])
    assert.equal(adds(verifier, knock(signed(0)), 0, [added, added]), 2)
    assert.equal(adds(verifier, knock(signed(1)), 1), 0)
  })

  it('is nothing to an address of the link, where that credential opens to none', () => {
    const linkLocal = { ...staff, linkLocal: true }
    const guests = { ...staff, name: 'guests' }
    const packet = (n: number) => decode(ipv4(udp(signed(n)), { source: [169, 254, 0, 1] }))
    assert.equal(adds(gate([linkLocal, guests]).verifier, packet(0), 0), 0)
    assert.equal(adds(gate([linkLocal, { ...guests, linkLocal: true }]).verifier, packet(1), 0), 1)
  })
})
