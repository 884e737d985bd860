/** What becomes of packets while knocks are claimed in the fleet: the packet worker's side, with a fleet that the test plays. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KnockClaim } from '../../../src/controller/packets/knock-claim.js'
import { claimRefusals } from '../../../src/controller/packets/knock-claim.js'
import { PacketHandler } from '../../../src/controller/packets/packet-handler.js'
import { ReplayCache } from '../../../src/controller/replay/replay-cache.js'
import { Counters } from '../../../src/controller/report/answer-counters.js'
import type { KnockEvent } from '../../../src/controller/report/knock-events.js'
import { KnockTally } from '../../../src/controller/report/knock-tally.js'
import { SequenceVerifier } from '../../../src/controller/verify/sequence-verifier.js'
import { KnockVerifier } from '../../../src/controller/verify/verifier.js'
import { RecentGrants } from '../../../src/nft/reconcile/recent-grants.js'
import { Marks } from '../../../src/nft/table/marks.js'
import { answeredLater } from '../../../src/queue/nfqueue.js'
import type { Packet } from '../../../src/queue/packet.js'
import { sourceText } from '../../../src/queue/packet.js'
import { testKey } from '../knock/openssh/sshsig.js'
import type { KnockParts } from './knock-support.js'
import { knock, laptop, pkdSecret, start, TestClock } from './knock-support.js'
import { signedPayload, staff, verified } from './signed-support.js'

const marks = new Marks(0xffff0000, 77)
const others = 0x8001
const all = { ...laptop, oncePerGroup: true }
const own = { ...laptop, name: 'own', ...pkdSecret('OWNK', 'test'), action: 5 }
const granted = marks.action(all.action) + others
const refused = marks.refused + others

class Bench {
  readonly clock = new TestClock()
  readonly counters = new Counters()
  readonly events: KnockEvent[] = []
  readonly claims: KnockClaim[] = []
  /** What is on disk. */
  readonly notes: string[] = []
  disk: 'works' | 'is full' = 'works'
  readonly handler: PacketHandler

  constructor(credentials = [all, own], queueLength = 16_384) {
    let waiting: string[] = []
    this.handler = new PacketHandler(
      new KnockVerifier(credentials, ({ skew }) => new ReplayCache({ skew, entries: 1000 }), this.clock),
      new SequenceVerifier([], this.clock, () => undefined),
      {
        marks,
        journal: {
          append: (_, digest, at) => waiting.push(digest.toString('hex', at, at + 16)),
          commit: () => {
            if (this.disk === 'is full' && waiting.length > 0) throw new Error('ENOSPC')
            this.notes.push(...waiting)
            waiting = []
          },
        },
        counters: this.counters,
        tally: new KnockTally(),
        clock: this.clock,
        recent: new RecentGrants(),
        steadySeconds: () => 5,
        queueLength,
        addressText: sourceText,
        onEvents: events => this.events.push(...events),
        onEffects: () => undefined,
        onTrouble: () => undefined,
      },
    )
    this.handler.claimKnocks = claims => this.claims.push(...claims)
  }

  /** The answers to these packets, in one batch. */
  answers(...packets: Packet[]): number[] {
    const batch = { packets, count: packets.length, answers: new Float64Array(packets.length) }
    this.handler.onBatch(batch)
    this.handler.onAnswered()
    return [...batch.answers]
  }

  /** The answers after the claim, as packet and mark. */
  claimed(
    result: Parameters<PacketHandler['onClaimed']>[0][0]['result'],
    id = this.claims.at(-1)?.id ?? 0,
  ): number[][] {
    return this.#late(this.handler.onClaimed([{ id, result }]))
  }

  late(): number[][] {
    return this.#late(this.handler.lateAnswers())
  }

  giveUp(): number[][] {
    return this.#late(this.handler.giveUp())
  }

  get told() {
    this.handler.onAnswered()
    return this.events.map(event => (event.kind === 'refuse' ? event.reason : event.kind))
  }

  #late(answers: readonly { readonly id: number; readonly mark: number }[]): number[][] {
    this.handler.onAnswered()
    return answers.map(({ id, mark }) => [id, mark])
  }
}

let names = 0
const grouped = (parts: KnockParts = {}) => knock({ mark: marks.candidate + others, name: `${++names}`, ...parts })
const syn = (id: number, source = 1) => knock({ mark: marks.pending + others, id, source })
const digestOf = ({ buffer, payloadAt, payloadLength }: Packet) =>
  buffer.toString('hex', payloadAt + payloadLength - 32, payloadAt + payloadLength - 16)

describe('a knock that counts on one server of the fleet', () => {
  it('is noted on disk, then claimed, then granted', () => {
    const bench = new Bench()
    const packet = grouped({ id: 7 })
    assert.deepEqual(bench.answers(packet), [answeredLater])
    assert.deepEqual(bench.notes, [digestOf(packet)])
    const [claim] = bench.claims
    assert.deepEqual([claim?.time, claim?.skew, claim?.digest.buffer.byteLength], [start, 10, 16])
    assert.equal(Buffer.from(claim?.digest ?? []).toString('hex'), digestOf(packet))
    assert.deepEqual(bench.told, [])
    // The buffer is used for the next packet.
    packet.buffer.fill(0)
    assert.deepEqual(bench.claimed('first'), [[7, granted]])
    assert.equal(bench.notes.length, 1)
    assert.deepEqual(bench.told, ['grant'])
    assert.deepEqual(bench.claimed('first'), [])
    assert.equal(bench.counters.get('accepted'), 1)
  })

  for (const reason of claimRefusals) {
    it(`opens nothing, and is used up: ${reason}`, () => {
      const bench = new Bench()
      const name = `${++names}`
      bench.answers(grouped({ id: 7, name }))
      assert.deepEqual(bench.claimed(reason), [[7, refused]])
      assert.deepEqual(bench.told, [reason])
      assert.equal(bench.events[0]?.credential, 'laptop')
      assert.deepEqual(bench.answers(grouped({ name })), [refused])
      assert.deepEqual([bench.notes.length, bench.claims.length], [1, 1])
    })
  }

  it('holds nothing but the connections of its source behind it', () => {
    const bench = new Bench()
    const batch = bench.answers(
      ...[syn(1), grouped({ id: 2 }), syn(3), syn(4, 9)],
      grouped({ id: 5, tag: 'OWNK', source: 9 }),
    )
    assert.deepEqual(batch, [others, answeredLater, answeredLater, others, marks.action(own.action) + others])
    assert.deepEqual(bench.answers(syn(6)), [answeredLater])
    assert.deepEqual(bench.claimed('claimed'), [
      [2, refused],
      [3, others],
      [6, others],
    ])
    assert.deepEqual(bench.answers(syn(8)), [others])
  })

  it('is not claimed if the disk does not take it', () => {
    const bench = new Bench()
    bench.disk = 'is full'
    assert.deepEqual(bench.answers(grouped({ id: 7 }), syn(8)), [answeredLater, answeredLater])
    assert.deepEqual(bench.claims, [])
    assert.deepEqual(bench.late(), [
      [7, refused],
      [8, others],
    ])
    assert.deepEqual(bench.told, ['state-unwritable'])
  })

  it('is refused when nothing comes for 3 s, and at a reload', () => {
    const bench = new Bench()
    bench.answers(grouped({ id: 7 }))
    assert.ok(bench.handler.longestWait() > 0)
    bench.clock.pass(2)
    assert.deepEqual(bench.late(), [])
    bench.clock.pass(1)
    assert.deepEqual(bench.late(), [[7, refused]])
    assert.deepEqual(bench.claimed('first'), [])
    bench.answers(grouped({ id: 9, time: start + 3 }))
    assert.deepEqual(bench.giveUp(), [[9, refused]])
    assert.deepEqual(bench.told, ['fleet-late', 'fleet-away'])
  })

  it('is refused where too many wait, or nothing can be claimed', () => {
    const bench = new Bench([all], 8)
    const knocks = Array.from({ length: 3 }, () => grouped())
    assert.deepEqual(bench.answers(...knocks), [answeredLater, answeredLater, refused])
    bench.handler.claimKnocks = null
    assert.deepEqual(bench.answers(grouped()), [refused])
    assert.deepEqual(bench.told, ['fleet-busy', 'fleet-away'])
    assert.equal(bench.notes.length, 4)
  })

  it('waits for its signature first, if it has one, with what is behind it', () => {
    const bench = new Bench([{ ...staff, oncePerGroup: true }])
    const jobs: number[] = []
    bench.handler.verifySignature = ({ id }) => jobs.push(id)
    const payload = signedPayload(testKey('ssh-ed25519'))
    const packet = knock({ mark: marks.candidate + others, id: 7, payload })
    assert.deepEqual(bench.answers(packet, syn(8)), [answeredLater, answeredLater])
    assert.deepEqual(bench.handler.onVerified([verified(jobs[0] as number)]), [])
    assert.equal(bench.notes.length, 1)
    assert.deepEqual(bench.answers(syn(9)), [answeredLater])
    assert.deepEqual(bench.claimed('first'), [
      [7, marks.action(staff.action) + others],
      [8, others],
      [9, others],
    ])
    assert.equal(bench.events[0]?.signer?.user, 'alice')
  })
})
