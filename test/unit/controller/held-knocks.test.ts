/** What becomes of packets while signatures are verified: the packet worker's side, with a verifier that the test plays. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Counters } from '../../../src/controller/report/answer-counters.js'
import type { Effect, KnockEvent } from '../../../src/controller/report/knock-events.js'
import { KnockTally } from '../../../src/controller/report/knock-tally.js'
import { PacketHandler } from '../../../src/controller/packets/packet-handler.js'
import { ReplayCache } from '../../../src/controller/replay/replay-cache.js'
import { SequenceVerifier } from '../../../src/controller/verify/sequence-verifier.js'
import type { SignedJob, SignedOutcome } from '../../../src/controller/verify/signature-job.js'
import { SignatureVerifier } from '../../../src/controller/verify/signature-verifier.js'
import { KnockVerifier } from '../../../src/controller/verify/verifier.js'
import { filterKeys } from '../../../src/knock/pk1/identity.js'
import { RecentGrants } from '../../../src/nft/reconcile/recent-grants.js'
import { Marks } from '../../../src/nft/table/marks.js'
import { answeredLater } from '../../../src/queue/nfqueue.js'
import type { Packet } from '../../../src/queue/packet.js'
import { sourceText } from '../../../src/queue/packet.js'
import { testKey } from '../knock/openssh/sshsig.js'
import type { KnockParts } from './knock-support.js'
import { knock, knockPort, laptop, start, TestClock } from './knock-support.js'
import { keysOf, serverKey, signedPayload, staff, verified } from './signed-support.js'

const marks = new Marks(0xffff0000, 77)
const others = 0x8001
const alice = testKey('ssh-ed25519')

class Bench {
  readonly clock = new TestClock()
  readonly counters = new Counters()
  readonly events: KnockEvent[] = []
  readonly effects: Effect[] = []
  /** In which order. */
  readonly told: string[] = []
  readonly jobs: SignedJob[] = []
  /** What is on disk. */
  readonly notes: string[] = []
  disk: 'works' | 'is full' = 'works'
  readonly handler: PacketHandler

  constructor(credentials = [staff, laptop], queueLength = 16_384) {
    let waiting: string[] = []
    this.handler = new PacketHandler(
      new KnockVerifier(
        structuredClone(credentials),
        ({ skew }) => new ReplayCache({ skew, entries: 1000 }),
        this.clock,
      ),
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
        onEvents: (events, { unnamed = [] }) => {
          this.events.push(...events)
          this.told.push(...unnamed.map(({ kind }) => `${kind} noted`))
          this.told.push(...events.map(({ kind, noted }) => `${kind} told${noted ? ' after that' : ''}`))
        },
        onEffects: effects => {
          this.effects.push(...effects)
          this.told.push(...effects.map(({ kind }) => `${kind} asked for`))
        },
        onTrouble: () => undefined,
      },
    )
    this.handler.verifySignature = job => this.jobs.push(job)
  }

  /** The answers to these packets, in one batch. */
  answers(...packets: Packet[]): number[] {
    const batch = { packets, count: packets.length, answers: new Float64Array(packets.length) }
    this.handler.onBatch(batch)
    this.handler.onAnswered()
    return [...batch.answers]
  }

  /** What follows, without the numbers by which it is waited for. */
  get followed(): Effect[] {
    return this.effects.map(effect => {
      if (effect.kind !== 'on-behalf') return effect
      const { awaited: _, ...rest } = effect
      return rest
    })
  }

  /** The late answers, as packet and mark. */
  verified(...outcomes: SignedOutcome[]): number[][] {
    const answers = this.handler.onVerified(outcomes)
    this.handler.onAnswered()
    return answers.map(({ id, mark }) => [id, mark])
  }
}

let packets = 100
const signed = (parts: KnockParts = {}) =>
  knock({ mark: marks.candidate + others, id: ++packets, payload: signedPayload(alice), ...parts })
const syn = (id: number, source = 1) => knock({ mark: marks.pending + others, id, source })
const granted = marks.action(staff.action) + others
const refused = marks.refused + others

describe('a signed knock', () => {
  it('is answered when its signature is verified, and noted on disk before', () => {
    const bench = new Bench()
    const packet = signed({ id: 7 })
    const salt = packet.buffer.toString('hex', packet.payloadAt + 8, packet.payloadAt + 24)
    assert.deepEqual(bench.answers(packet), [answeredLater])
    const [job] = bench.jobs
    assert.deepEqual(
      [job?.port, job?.source, job?.bytes.length, job?.bytes.buffer.byteLength],
      [knockPort, '192.0.2.1', 256, 256],
    )
    assert.deepEqual(bench.notes, [])
    // The buffer is used for the next packet.
    packet.buffer.fill(0)
    assert.deepEqual(bench.verified(verified(job?.id ?? 0)), [[7, granted]])
    assert.deepEqual(bench.notes, [salt])
    assert.deepEqual(
      bench.events.map(({ kind, source, credential, signer }) => [kind, source, credential, signer?.user]),
      [['grant', '192.0.2.1', 'staff', 'alice']],
    )
    assert.equal(bench.counters.get('accepted'), 1)
  })

  it('holds nothing but the connections of its source behind it', () => {
    const bench = new Bench()
    const batch = bench.answers(syn(1), signed({ id: 2 }), syn(3), syn(4, 9), knock({ mark: marks.candidate + others }))
    assert.deepEqual(batch, [others, answeredLater, answeredLater, others, marks.action(laptop.action) + others])
    assert.deepEqual(bench.answers(syn(5)), [answeredLater])
    assert.deepEqual(bench.verified(verified(1)), [
      [2, granted],
      [3, others],
      [5, others],
    ])
    assert.deepEqual(bench.answers(syn(6)), [others])
  })

  it('of several of one source, each has the connections that came after it', () => {
    const bench = new Bench()
    bench.answers(signed({ id: 1 }), syn(2), signed({ id: 3 }), syn(4))
    assert.deepEqual(bench.verified(verified(2)), [
      [3, granted],
      [4, others],
    ])
    assert.deepEqual(bench.verified(verified(1)), [
      [1, granted],
      [2, others],
    ])
  })

  it('is not verified where the check of the identity or the port is wrong', () => {
    const bench = new Bench([{ ...staff, port: 99 }])
    const changed = signedPayload(alice)
    changed[200] = (changed[200] as number) ^ 1
    const foreign = signedPayload(alice, { identity: Buffer.alloc(32, 9) })
    assert.deepEqual(bench.answers(signed({ payload: changed }), signed({ payload: foreign }), signed()), [
      refused,
      refused,
      refused,
    ])
    assert.deepEqual([bench.counters.get('bad-hash'), bench.counters.get('wrong-port')], [2, 1])
    assert.deepEqual(bench.jobs, [])
  })

  it('with a byte changed leaves no trace, also where the sender knows the identity', async () => {
    const verifier = new SignatureVerifier({ now: () => start })
    await verifier.configure([keysOf({ authorized: `${alice.line} alice\n` })])
    const bench = new Bench()
    const payload = signedPayload(alice)
    const { mac } = filterKeys(serverKey.identity)
    for (let at = 0; at < payload.length; at++) {
      const changed = Buffer.from(payload)
      changed[at] = (changed[at] as number) ^ (1 << (at % 8))
      assert.deepEqual(bench.answers(signed({ payload: changed })), [refused], `byte ${at}`)
      assert.equal(bench.jobs.length, 0)
      // A new check, which who knows the identity can make.
      changed.write(mac.digest(changed, 0, 24, 40, changed.length).slice(0, 16), 24, 'latin1')
      if (changed.equals(payload)) continue
      assert.deepEqual(bench.answers(signed({ payload: changed, id: at })), [answeredLater], `byte ${at}`)
      const outcome = await verifier.verify(bench.jobs.pop() ?? assert.fail())
      assert.equal(outcome.kind, 'refused')
      assert.deepEqual(bench.verified(outcome), [[at, refused]])
    }
    assert.deepEqual([bench.notes, bench.effects, bench.counters.get('accepted')], [[], [], 0])
    bench.answers(signed({ payload, id: 7 }))
    assert.deepEqual(bench.verified(await verifier.verify(bench.jobs.pop() ?? assert.fail())), [[7, granted]])
  })

  it('is refused as a copy while it is verified, and afterwards without being verified again', () => {
    const bench = new Bench()
    const payload = signedPayload(alice)
    assert.deepEqual(bench.answers(signed({ payload }), signed({ payload, source: 2 })), [answeredLater, refused])
    bench.verified(verified(1))
    bench.clock.pass(89)
    assert.deepEqual(bench.answers(signed({ payload })), [refused])
    assert.deepEqual([bench.jobs.length, bench.counters.get('replayed')], [1, 2])
  })

  it('is refused as a copy by the replay cache, where the copy was forgotten', () => {
    const bench = new Bench([{ ...staff, skew: 1000 }])
    const payload = signedPayload(alice)
    bench.answers(signed({ payload }))
    assert.equal(bench.verified(verified(1))[0]?.[1], granted)
    for (let turn = 0; turn < 3; turn++) {
      bench.clock.pass(91)
      bench.answers(signed())
    }
    assert.deepEqual(bench.answers(signed({ payload, id: 9 })), [answeredLater])
    const { id = 0 } = bench.jobs.at(-1) ?? {}
    assert.deepEqual(bench.verified(verified(id)), [[9, refused]])
    assert.equal(bench.counters.get('replayed'), 1)
  })

  it('is refused when too many are verified, and so are none of the other kinds', () => {
    const bench = new Bench()
    const held = Array.from({ length: 257 }, (_, i) => signed({ source: i % 200 }))
    const answers = bench.answers(...held)
    assert.deepEqual([answers.filter(one => one === answeredLater).length, answers.at(-1)], [256, refused])
    assert.equal(bench.counters.get('signatures-busy'), 1)
    assert.deepEqual(bench.answers(knock({ mark: marks.candidate })), [marks.action(laptop.action)])
    bench.verified(verified(1))
    assert.deepEqual(bench.answers(signed()), [answeredLater])
  })

  it('of another source finds room where one source has all, whose last ones are refused in its place', () => {
    const bench = new Bench()
    const flood = (count: number) => bench.answers(...Array.from({ length: count }, () => signed({ source: 9 })))
    flood(256)
    assert.deepEqual(bench.answers(signed({ id: 1 }), syn(2)), [answeredLater, answeredLater])
    assert.deepEqual(flood(1), [refused], 'of the source that has the most')
    assert.deepEqual(bench.verified(verified(256)), [], 'the last one gave way')
    assert.deepEqual(bench.verified(verified(257)), [
      [1, granted],
      [2, others],
    ])
    const late = bench.handler.lateAnswers()
    assert.deepEqual(
      late.map(({ mark }) => mark),
      [refused],
    )
    assert.deepEqual([bench.counters.get('signatures-busy'), bench.counters.get('signatures-late')], [2, 0])
    assert.deepEqual(bench.handler.lateAnswers(), [])
    // How many give way until the next late answers is bounded.
    flood(1)
    const answers = bench.answers(...Array.from({ length: 100 }, (_, i) => signed({ source: i % 50 })))
    assert.equal(answers.filter(one => one === answeredLater).length, 64)
    assert.equal(bench.handler.lateAnswers().length, 64)
  })

  it('gives way to no other where each source has a few', () => {
    const bench = new Bench()
    bench.answers(...Array.from({ length: 256 }, (_, i) => signed({ source: i % 16 })))
    assert.deepEqual(bench.answers(signed({ source: 99 })), [refused])
  })

  it('holds no more than 1024 connections', () => {
    const bench = new Bench()
    bench.answers(signed({ id: 1 }))
    const answers = bench.answers(...Array.from({ length: 1025 }, (_, i) => syn(i + 2)))
    assert.deepEqual([answers.filter(one => one === answeredLater).length, answers.at(-1)], [1024, others])
    assert.equal(bench.verified(verified(1)).length, 1025)
    bench.answers(signed({ id: 1 }))
    assert.deepEqual(bench.answers(syn(2)), [answeredLater])
  })

  it('holds no more than a quarter of the queue', () => {
    const bench = new Bench(undefined, 40)
    const knocks = bench.answers(...Array.from({ length: 11 }, () => signed()))
    const syns = bench.answers(...Array.from({ length: 11 }, (_, i) => syn(i)))
    for (const answers of [knocks, syns]) assert.equal(answers.filter(one => one === answeredLater).length, 10)
    assert.deepEqual([knocks.at(-1), syns.at(-1)], [refused, others])
  })

  it('is refused after 3 s, with what waits behind it, and what comes then is ignored', () => {
    const bench = new Bench()
    assert.equal(bench.handler.longestWait(), -1)
    bench.answers(signed({ id: 1 }), syn(2))
    assert.ok(bench.handler.longestWait() > 0)
    bench.clock.pass(2.9)
    assert.deepEqual(bench.handler.lateAnswers(), [])
    bench.clock.pass(0.1)
    assert.deepEqual(
      bench.handler.lateAnswers().map(({ id, mark }) => [id, mark]),
      [
        [1, refused],
        [2, others],
      ],
    )
    assert.deepEqual(bench.verified(verified(1)), [])
    assert.deepEqual([bench.counters.get('signatures-late'), bench.counters.get('accepted')], [1, 0])
    assert.deepEqual(bench.notes, [])
    assert.equal(bench.handler.longestWait(), -1)
  })

  it('is refused without the thread, at once or when that is given up', () => {
    const bench = new Bench()
    bench.answers(signed({ id: 1 }), syn(2))
    assert.deepEqual(
      bench.handler.giveUp().map(({ mark }) => mark),
      [refused, others],
    )
    bench.handler.verifySignature = null
    assert.deepEqual(bench.answers(signed(), syn(3)), [refused, others])
    assert.equal(bench.counters.get('signatures-down'), 2)
    assert.deepEqual(bench.verified(verified(1)), [])
  })

  it('is refused when it cannot be noted on disk', () => {
    const bench = new Bench()
    bench.answers(signed({ id: 1 }), syn(2))
    bench.disk = 'is full'
    assert.deepEqual(bench.verified(verified(1)), [
      [1, refused],
      [2, others],
    ])
    assert.deepEqual([bench.counters.get('state-unwritable'), bench.counters.get('accepted')], [1, 0])
  })

  const refusals: readonly [string, SignedOutcome, string][] = [
    ['by the other thread', { kind: 'refused', id: 1, reason: 'revoked', credential: 'staff' }, 'revoked'],
    ['for its time', verified(1, { request: { ...requestOf(), time: 1 } }), 'skewed'],
    ['with a credential that is gone', verified(1, { credential: 'gone' }), 'unknown-key'],
    ['for a prefix', verified(1, { request: { ...requestOf(), prefix: 24 } }), 'prefix-not-allowed'],
    [
      'for a host',
      verified(1, { request: { ...requestOf(), host: { version: 4, address: '192.0.2.9' } } }),
      'address-not-allowed',
    ],
    [
      'for another address',
      verified(1, { request: { ...requestOf(), other: { version: 4, address: '192.0.2.9' } } }),
      'address-not-allowed',
    ],
  ]
  it('is refused for an address that its key may not come from, though its credential has it', () => {
    for (const [asksOutside, reason] of [
      [true, 'address-not-allowed'],
      [false, 'accepted'],
    ] as const) {
      const bench = new Bench([{ ...staff, onBehalfOf: ['192.0.2.0/24'] }])
      bench.answers(signed({ id: 1 }))
      const request = { ...requestOf(), host: { version: 4, address: '192.0.2.9' } as const }
      bench.verified(verified(1, { request, rights: { ...rights(), asksOutside } }))
      assert.equal(bench.counters.get(reason), 1)
    }
  })

  it('grants the mark of its credential for a prefix that its line allows, and only of its own version', () => {
    for (const [prefix6, answer] of [
      [null, refused],
      [64, refused],
    ] as const) {
      const bench = new Bench()
      bench.answers(signed({ id: 1 }))
      const outcome = verified(1, { request: { ...requestOf(), prefix: 24 }, rights: { ...rights(), prefix6 } })
      assert.deepEqual(bench.verified(outcome), [[1, answer]])
    }
    const bench = new Bench()
    bench.answers(signed({ id: 1 }))
    const outcome = verified(1, { request: { ...requestOf(), prefix: 8 }, rights: { ...rights(), prefix4: 24 } })
    assert.deepEqual(bench.verified(outcome), [[1, granted]])
  })

  for (const [why, outcome, reason] of refusals) {
    it(`is refused ${why}`, () => {
      const bench = new Bench()
      bench.answers(signed({ id: 1 }))
      assert.deepEqual(bench.verified(outcome), [[1, refused]])
      assert.equal(bench.counters.get(reason as 'revoked'), 1)
      assert.deepEqual(bench.effects, [])
    })
  }

  it('is limited in its rate as other knocks', () => {
    const bench = new Bench([{ ...staff, rate: { count: 1, seconds: 10 } }])
    bench.answers(signed({ id: 1 }), signed({ id: 2 }))
    assert.deepEqual(
      bench.verified(verified(1), verified(2)).map(([, mark]) => mark),
      [granted, refused],
    )
    assert.equal(bench.counters.get('rate-limited'), 1)
  })

  /** That the grant is noted as that of the signer. */
  const by = (kind: 'knock' | 'hand', address = '192.0.2.1'): Effect => ({
    ...{ kind: 'signed', credential: 'staff', by: kind, address },
    signer: { user: 'alice', fingerprint: 'SHA256:abc' },
  })
  const of = (services: string[], atMost?: number, atLeast?: number): Effect[] => {
    const asked = part(services, atMost, atLeast)
    return [{ ...by('hand'), ...('part' in asked && { part: asked.part }) }, asked]
  }

  it('is noted as that of who has signed, when it is on the disk', () => {
    const bench = new Bench()
    bench.answers(signed({ id: 1 }), signed({ id: 2 }))
    bench.verified(verified(1))
    assert.deepEqual(bench.effects.splice(0), [by('knock')])
    bench.disk = 'is full'
    bench.verified(verified(2))
    assert.deepEqual(bench.effects, [])
  })

  const wishes: readonly [string, Parameters<typeof verified>[1], Effect[], typeof staff?][] = [
    ['some of the services', { request: { ...requestOf(), services: ['web'] } }, of(['web'])],
    ['what its line opens', { rights: { ...rights(), opens: ['ssh'] } }, of(['ssh'])],
    ['less time', { request: { ...requestOf(), window: 30 } }, of(['ssh', 'web'], 30)],
    [
      'more time than its line has',
      { request: { ...requestOf(), window: 900 }, rights: { ...rights(), window: 300 } },
      of(['ssh', 'web'], 300),
    ],
    [
      'more time, as far as its credential allows it',
      { request: { ...requestOf(), window: 900 } },
      of(['ssh', 'web'], 900, 300),
      { ...staff, maxWindow: 300 },
    ],
    [
      'no more time than its line has',
      { request: { ...requestOf(), window: 900 }, rights: { ...rights(), window: 200 } },
      of(['ssh', 'web'], 200, 200),
      { ...staff, maxWindow: 300 },
    ],
    [
      'another host',
      { request: { ...requestOf(), host: { version: 4, address: '192.0.2.9' } } },
      [by('hand', '192.0.2.9'), { kind: 'on-behalf', credential: 'staff', address: '192.0.2.9' }],
      { ...staff, onBehalfOf: ['192.0.2.0/24'] },
    ],
    [
      'an end',
      { request: { ...requestOf(), close: true } },
      [{ kind: 'revoke', credential: 'staff', address: '192.0.2.1' }],
    ],
    [
      'the end of a part, of a credential that closes',
      { request: { ...requestOf(), services: ['web'] } },
      [
        {
          ...{ kind: 'revoke', credential: 'staff', address: '192.0.2.1' },
          part: { services: ['web'], seconds: null },
        },
      ],
      { ...staff, revokes: true },
    ],
  ]
  for (const [what, outcome, effects, credential = staff] of wishes) {
    it(`gets ${what} by command`, () => {
      const bench = new Bench([credential])
      bench.answers(signed({ id: 1 }))
      assert.deepEqual(bench.verified(verified(1, outcome)), [[1, refused]])
      assert.deepEqual(bench.followed, effects)
      assert.equal(bench.counters.get('accepted'), 1)
    })
  }

  it('that closes is told of after the knocks without a signature before it, which are noted once', () => {
    const bench = new Bench()
    bench.answers(signed({ id: 1 }))
    const knocks = [knock({ mark: marks.candidate + others })]
    bench.handler.onBatch({ packets: knocks, count: 1, answers: new Float64Array(1) })
    bench.verified(verified(1, { request: { ...requestOf(), close: true } }))
    assert.deepEqual(bench.told, ['grant noted', 'revoke asked for', 'grant told after that', 'revoke told'])
  })

  it('gets by command what other credentials add', () => {
    const added = [{ service: 'vpn', protocol: 'udp', ports: [{ first: 1194, last: 1194 }], seconds: 30 }]
    const bench = new Bench([staff, { ...staff, name: 'remote', action: 6, grants: added }])
    bench.answers(signed({ id: 1 }))
    const signer = { user: 'alice at home', fingerprint: 'SHA256:abc' }
    const more = [{ credential: 'remote', signer, rights: rights(), services: ['vpn'] }]
    assert.deepEqual(bench.verified(verified(1, { more })), [[1, granted]])
    const [vpn, address] = [{ services: ['vpn'], seconds: null }, '192.0.2.1']
    assert.deepEqual(bench.followed, [
      by('knock'),
      { ...{ kind: 'signed', credential: 'remote', by: 'hand', address }, signer, part: vpn },
      { kind: 'on-behalf', credential: 'remote', address, part: vpn },
    ])
    assert.deepEqual(
      bench.events.map(({ kind, credential, part }) => [kind, credential, part?.services]),
      [
        ['grant', 'staff', undefined],
        ['grant', 'remote', ['vpn']],
      ],
    )
  })

  describe('that gets its grant by a command', () => {
    /** The number of the effect that is waited for. */
    const awaited = (bench: Bench) => {
      const numbers = bench.effects.splice(0).map(effect => (effect.kind === 'on-behalf' ? effect.awaited : undefined))
      return numbers.at(-1) ?? assert.fail('nothing is waited for')
    }
    const late = (answers: readonly { id: number; mark: number }[]) => answers.map(({ id, mark }) => [id, mark])
    const web = { request: { ...requestOf(), services: ['web'] } }

    it('lets the connections behind it go on when the grant is made, and no others wait', () => {
      const bench = new Bench()
      bench.answers(signed({ id: 1 }), syn(2))
      assert.deepEqual(bench.verified(verified(1, web)), [[1, refused]])
      assert.deepEqual(bench.answers(syn(3), syn(4, 9)), [answeredLater, others])
      const number = awaited(bench)
      assert.deepEqual(late(bench.handler.onCarriedOut(number)), [
        [2, others],
        [3, others],
      ])
      assert.deepEqual(bench.handler.onCarriedOut(number), [])
      assert.deepEqual(bench.answers(syn(5)), [others])
    })

    it('lets them go on after 3 s, and when all is given up', () => {
      for (const end of ['late', 'given up'] as const) {
        const bench = new Bench()
        bench.answers(signed({ id: 1 }), syn(2))
        bench.verified(verified(1, web))
        assert.ok(bench.handler.longestWait() > 0)
        assert.deepEqual(bench.handler.lateAnswers(), [])
        bench.clock.pass(3)
        assert.deepEqual(late(end === 'late' ? bench.handler.lateAnswers() : bench.handler.giveUp()), [[2, others]])
        assert.equal(bench.handler.longestWait(), -1)
      }
    })

    it('lets them go on with the next late answers when it cannot be noted, and no others wait', () => {
      const bench = new Bench()
      bench.answers(signed({ id: 1 }), syn(2))
      bench.disk = 'is full'
      assert.deepEqual(bench.verified(verified(1, web)), [[1, refused]])
      assert.deepEqual(bench.answers(syn(3)), [others])
      assert.deepEqual(late(bench.handler.lateAnswers()), [[2, others]])
      assert.equal(bench.handler.longestWait(), -1)
    })

    it('holds none for a knock that closes, or that asks for another host', () => {
      const bench = new Bench([{ ...staff, onBehalfOf: ['192.0.2.0/24'] }])
      for (const wishes of [{ close: true }, { host: { version: 4, address: '192.0.2.9' } as const }]) {
        bench.answers(signed({ id: 1 }))
        bench.verified(verified(bench.jobs.length, { request: { ...requestOf(), ...wishes } }))
        assert.deepEqual(bench.answers(syn(2)), [others])
      }
    })

    it('holds a bounded number', () => {
      const bench = new Bench()
      let held = 0
      for (let i = 0; i < 300; i++) {
        bench.clock.pass(0.008)
        bench.answers(signed({ source: i % 250 }))
        bench.verified(verified(bench.jobs.at(-1)?.id ?? 0, web))
        held += bench.effects.splice(0).filter(effect => effect.kind === 'on-behalf' && effect.awaited).length
      }
      assert.equal(held, 256)
    })
  })

  it('gets the other address beside its own', () => {
    const bench = new Bench([{ ...staff, onBehalfOf: ['2001:db8::/32'] }])
    bench.answers(signed({ id: 1 }))
    const other = { version: 6, address: '2001:db8:0:0:0:0:0:9' } as const
    assert.deepEqual(bench.verified(verified(1, { request: { ...requestOf(), other } })), [[1, granted]])
    assert.deepEqual(bench.effects, [
      by('knock'),
      by('hand', other.address),
      { kind: 'on-behalf', credential: 'staff', address: other.address },
    ])
  })

  it('gets no other address of a credential that closes', () => {
    const bench = new Bench([{ ...staff, revokes: true, onBehalfOf: ['2001:db8::/32'] }])
    bench.answers(signed({ id: 1 }))
    const other = { version: 6, address: '2001:db8:0:0:0:0:0:9' } as const
    assert.deepEqual(bench.verified(verified(1, { request: { ...requestOf(), other } })), [[1, granted]])
    assert.deepEqual(
      bench.effects.map(({ kind }) => kind),
      ['signed'],
    )
  })

  it('asks for no address that its line does not allow', () => {
    const bench = new Bench([{ ...staff, onBehalfOf: ['192.0.2.0/24'] }])
    bench.answers(signed({ id: 1 }))
    const host = { version: 4, address: '192.0.2.9' } as const
    const outcome = { request: { ...requestOf(), host }, rights: { ...rights(), onBehalfOf: ['192.0.2.128/25'] } }
    assert.deepEqual(bench.verified(verified(1, outcome)), [[1, refused]])
    assert.equal(bench.counters.get('address-not-allowed'), 1)
  })

  it('gets by its mark what a line that allows more would', () => {
    const bench = new Bench()
    bench.answers(signed({ id: 1 }))
    const outcome = { request: { ...requestOf(), window: 900 }, rights: { ...rights(), window: 86_400 } }
    assert.deepEqual(bench.verified(verified(1, outcome)), [[1, granted]])
  })
})

function requestOf() {
  const outcome = verified(1)
  if (outcome.kind !== 'verified') throw new Error('it is')
  return outcome.request
}
function rights() {
  return { opens: null, window: null, prefix4: null, prefix6: null, onBehalfOf: [], asksOutside: false }
}
function part(services: string[], atMost?: number, atLeast?: number): Effect {
  const limit = { ...(atMost !== undefined && { atMost }), ...(atLeast !== undefined && { atLeast }) }
  return { kind: 'on-behalf', credential: 'staff', address: '192.0.2.1', part: { services, seconds: null, ...limit } }
}
