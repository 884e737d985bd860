import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Counters } from '../../../src/controller/report/answer-counters.js'
import type { Effect, KnockEvent, Suppressed } from '../../../src/controller/report/knock-events.js'
import { KnockTally } from '../../../src/controller/report/knock-tally.js'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import type { GrantDecision } from '../../../src/controller/verify/decision.js'
import { effectsOf } from '../../../src/controller/packets/knock-effects.js'
import { PacketHandler } from '../../../src/controller/packets/packet-handler.js'
import { ReplayCache } from '../../../src/controller/replay/replay-cache.js'
import type { PacketSequence } from '../../../src/controller/verify/sequence-verifier.js'
import { newToken, OwnDatagrams, ownPayload } from '../../../src/controller/self-test/own-datagrams.js'
import { SequenceVerifier } from '../../../src/controller/verify/sequence-verifier.js'
import { KnockVerifier } from '../../../src/controller/verify/verifier.js'
import { RecentGrants } from '../../../src/nft/reconcile/recent-grants.js'
import { Marks } from '../../../src/nft/table/marks.js'
import type { Packet } from '../../../src/queue/packet.js'
import { sourceText } from '../../../src/queue/packet.js'
import type { KnockParts } from './knock-support.js'
import { knock, laptop, payloadOf, pkdSecret, start, TestClock } from './knock-support.js'

const marks = new Marks(0xffff0000, 77)
const others = 0x8001
const token = newToken()

/** A packet path with a journal that only takes notes. */
class Bench {
  readonly clock = new TestClock()
  readonly counters = new Counters()
  readonly tally = new KnockTally()
  readonly recent = new RecentGrants()
  readonly notes: string[] = []
  readonly events: KnockEvent[] = []
  readonly suppressed: Suppressed[] = []
  readonly effects: Effect[] = []
  readonly trouble: string[] = []
  readonly own: number[] = []
  disk: 'works' | 'is full' = 'works'
  #pending: string[] = []
  readonly path: PacketHandler

  constructor(credentials: readonly PacketCredential[] = [laptop]) {
    const memoryOf = ({ skew }: PacketCredential) => new ReplayCache({ skew, entries: 1000 })
    const journal = {
      append: ({ identity }: PacketCredential, digest: Buffer, at: number, time: number) =>
        this.#pending.push(
          `${Buffer.from(identity).toString('latin1', 0, 4)} ${digest.toString('hex', at, at + 4)} ${time}`,
        ),
      commit: () => {
        if (this.disk === 'is full' && this.#pending.length > 0) throw new Error('ENOSPC: no space left on device')
        this.notes.push(...this.#pending)
        this.#pending = []
      },
    }
    this.path = new PacketHandler(
      new KnockVerifier(credentials, memoryOf, this.clock),
      new SequenceVerifier([], this.clock, () => undefined),
      {
        marks,
        journal: journal,
        counters: this.counters,
        tally: this.tally,
        clock: this.clock,
        recent: this.recent,
        steadySeconds: () => 5,
        queueLength: 1,
        addressText: sourceText,
        own: new OwnDatagrams(token, numbers => this.own.push(...numbers)),
        onEvents: (events, suppressed) => {
          this.events.push(...events)
          this.suppressed.push(suppressed)
        },
        onEffects: effects => this.effects.push(...effects),
        onTrouble: (level, message) => this.trouble.push(`${level}: ${message}`),
      },
    )
  }

  /** The answers to these packets, and what was told before and after they were out. */
  tells(...packets: Packet[]): { before: number; after: number } {
    this.path.onBatch({ packets, count: packets.length, answers: new Float64Array(64) })
    const told = () => this.events.length + this.effects.length + this.trouble.length
    const before = told()
    this.path.onAnswered()
    return { before, after: told() }
  }

  /** The answers to these packets in one batch, of which one more is left over from before. */
  answers(...packets: Packet[]): number[] {
    const batch = { packets: [...packets, knock()], count: packets.length, answers: new Float64Array(64).fill(77) }
    this.path.onBatch(batch)
    this.path.onAnswered()
    assert.equal(batch.answers[packets.length], 77, 'what lies behind the batch is left alone')
    return [...batch.answers.slice(0, packets.length)]
  }
}

const candidate = (parts: KnockParts = {}) => knock({ mark: marks.candidate + others, ...parts })
const granted = marks.action(3) + others
const refused = marks.refused + others
const digest = payloadOf().toString('hex', 24, 28)

describe('PacketPath answers', () => {
  it('the own datagram of a self-test: refused, and neither counted nor told as a knock', () => {
    const bench = new Bench()
    const payload = ownPayload({ start: Buffer.from('SSHK'), payloadLength: 56, number: 9 }, token)
    const packet = candidate({ payload })
    packet.buffer.set([127, 80, 75, 1], packet.sourceAt)
    assert.deepEqual(bench.answers(packet), [refused])
    assert.deepEqual([bench.own, bench.events, bench.effects, bench.notes], [[9], [], [], []])
    assert.deepEqual(bench.tally.report(), new KnockTally().report())
    assert.equal(bench.counters.get('bad-hash'), 0)
    // The same from elsewhere is a knock like others.
    assert.deepEqual(bench.answers(candidate({ payload })), [refused])
    assert.equal(bench.counters.get('bad-hash'), 1)
    assert.deepEqual(bench.own, [9])
  })

  const table: readonly { name: string; packet: Packet; want: number; counts: string }[] = [
    { name: 'valid knock', packet: candidate(), want: granted, counts: 'accepted' },
    {
      name: 'valid knock, all other bits set',
      packet: candidate({ mark: marks.candidate + 0xffff }),
      want: marks.action(3) + 0xffff,
      counts: 'accepted',
    },
    {
      name: 'valid knock, no other bits',
      packet: candidate({ mark: marks.candidate }),
      want: marks.action(3),
      counts: 'accepted',
    },
    { name: 'wrong knock', packet: candidate({ key: 'x' }), want: refused, counts: 'bad-hash' },
    { name: 'malformed', packet: candidate({ payload: Buffer.alloc(0) }), want: refused, counts: 'malformed' },
    { name: 'unreadable', packet: Object.assign(candidate(), { version: 0 }), want: refused, counts: 'malformed' },
    { name: 'skewed', packet: candidate({ time: start - 99 }), want: refused, counts: 'skewed' },
    {
      name: 'pending connection',
      packet: knock({ mark: marks.pending + others }),
      want: others,
      counts: 'pending',
    },
    { name: 'stray without a mark', packet: knock(), want: 0, counts: 'stray' },
    { name: "stray with others' bits", packet: knock({ mark: others }), want: others, counts: 'stray' },
    {
      name: 'stray with a plan of ours',
      packet: knock({ mark: marks.action(3) }),
      want: marks.action(3),
      counts: 'stray',
    },
    {
      name: 'stray with a refusal of ours',
      packet: knock({ mark: marks.refused }),
      want: marks.refused,
      counts: 'stray',
    },
    { name: 'stray with all bits', packet: knock({ mark: 0xffffffff }), want: 0xffffffff, counts: 'stray' },
  ]
  for (const { name, packet, want, counts } of table) {
    it(`${name}: ${counts}`, () => {
      const bench = new Bench()
      assert.deepEqual(bench.answers(packet), [want])
      assert.equal(bench.counters.get(counts as 'accepted'), 1)
      assert.equal(bench.notes.length, counts === 'accepted' ? 1 : 0)
      assert.equal(bench.events.length, ['pending', 'stray'].includes(counts) ? 0 : 1)
    })
  }

  it('a whole batch, each for itself and in its order', () => {
    const bench = new Bench()
    const packets = [candidate(), knock(), candidate(), candidate({ key: 'x' }), candidate({ name: 'b' })]
    assert.deepEqual(bench.answers(...packets), [granted, 0, refused, refused, granted])
    const got = bench.events.map(({ kind, reason }) => reason ?? kind)
    assert.deepEqual(got, ['grant', 'replayed', 'bad-hash', 'grant'])
  })

  it('none to an empty batch', () => {
    const bench = new Bench()
    assert.deepEqual([bench.answers(), bench.events, bench.suppressed], [[], [], []])
  })

  it('by the verifier that was put in last', () => {
    const bench = new Bench()
    bench.path.verifier = new KnockVerifier([], () => assert.fail(), bench.clock)
    assert.deepEqual(bench.answers(candidate()), [refused])
  })
})

describe('PacketHandler counts for each credential', () => {
  const told = (bench: Bench) =>
    bench.tally.report().map(({ credential, counts, clockDifferenceSeconds }) => ({
      credential,
      ...Object.fromEntries(counts.map(({ outcome, count }) => [outcome, count])),
      clock: clockDifferenceSeconds,
    }))

  it('what became of its knocks, and the clock of the last one that was accepted', () => {
    const bench = new Bench()
    bench.answers(candidate({ time: start + 5 }), candidate({ time: start + 5 }), candidate({ time: start - 99 }))
    bench.answers(candidate({ key: 'x' }), candidate({ payload: Buffer.alloc(0) }), knock())
    assert.deepEqual(told(bench), [
      { credential: laptop.name, accepted: 1, skewed: 1, replayed: 1, clock: 5 },
      { credential: '', malformed: 1, 'bad-hash': 1, clock: undefined },
    ])
  })

  it('as refused what the disk did not take', () => {
    const bench = new Bench()
    bench.disk = 'is full'
    bench.answers(candidate())
    bench.disk = 'works'
    bench.answers(candidate({ name: 'b' }))
    assert.deepEqual(told(bench), [{ credential: laptop.name, accepted: 1, 'state-unwritable': 1, clock: 0 }])
  })

  it('and forgets those that are not configured any more', () => {
    const bench = new Bench()
    bench.answers(candidate(), candidate({ key: 'x' }))
    bench.tally.keep(new Set(['another']))
    assert.deepEqual(told(bench), [{ credential: '', 'bad-hash': 1, clock: undefined }])
  })
})

describe('PacketHandler counts a right knock as accepted', () => {
  const sequence = (revokes: boolean): PacketSequence => ({
    name: 'phone',
    steps: [{ protocol: 17, port: 40_000 }],
    timeoutSeconds: 10,
    flags: { mask: 0, value: 0 },
    targets: [],
    rate: null,
    action: 3,
    revokes,
    triggers: false,
    linkLocal: false,
  })
  for (const revokes of [false, true]) {
    const purpose = revokes ? 'closes' : 'opens'
    it(`a PKD knock that ${purpose}`, () => {
      const bench = new Bench([{ ...laptop, revokes }])
      bench.answers(candidate())
      assert.equal(bench.counters.get('accepted'), 1)
    })

    it(`a sequence that ${purpose}`, () => {
      const bench = new Bench()
      bench.path.steps = new SequenceVerifier([sequence(revokes)], bench.clock, () => undefined)
      assert.deepEqual(bench.answers(knock({ mark: marks.step })), [marks.action(3)])
      assert.equal(bench.counters.get('accepted'), 1)
    })
  }
})

describe('a sequence out of time', () => {
  const twoSteps: PacketSequence = {
    name: 'phone',
    steps: [
      { protocol: 17, port: 40_000 },
      { protocol: 17, port: 40_001 },
    ],
    timeoutSeconds: 10,
    flags: { mask: 0, value: 0 },
    targets: [],
    rate: null,
    action: 3,
    revokes: false,
    triggers: true,
    linkLocal: false,
  }
  const late = { kind: 'refuse', reason: 'out-of-time', source: '192.0.2.1', credential: 'phone' }
  function bench() {
    const bench = new Bench()
    bench.path.steps = new SequenceVerifier([twoSteps], bench.clock, () => undefined)
    return bench
  }
  const step = (port: number) => knock({ mark: marks.step + others, port })

  for (const port of [40_001, 40_000]) {
    it(`is reported and counted when its source knocks again at ${port}, and opens nothing`, () => {
      const here = bench()
      assert.deepEqual(here.answers(step(40_000)), [others])
      here.clock.pass(11)
      assert.deepEqual(here.answers(step(port)), [others])
      assert.deepEqual(here.events, [{ ...late, port }])
      assert.equal(here.counters.get('out-of-time'), 1)
      assert.deepEqual(here.effects, [])
      const isBegun = port === 40_000
      const next = isBegun ? marks.action(3) + others : others
      assert.deepEqual(here.answers(step(40_001)), [next], 'the late step can begin another')
    })
  }

  it('that is only incomplete is not reported', () => {
    const here = bench()
    here.answers(step(40_000))
    here.clock.pass(9)
    here.answers(step(40_000), step(40_001))
    assert.deepEqual(
      here.events.map(({ kind }) => kind),
      ['grant'],
    )
  })

  it('leaves room for verified knocks in the log, and for the commands that follow them', () => {
    const here = bench()
    const sources = Array.from({ length: 250 }, (_, i) => {
      const packet = step(40_000)
      packet.buffer.writeUInt8(i, packet.sourceAt + 3)
      return packet
    })
    for (const packet of sources) here.answers(packet)
    here.clock.pass(10.5)
    for (const packet of sources) here.answers(packet)
    here.answers(candidate())
    assert.equal(here.counters.get('out-of-time'), 250)
    assert.deepEqual([here.events.length, here.events.at(-1)?.kind], [51, 'grant'])
    assert.deepEqual(here.answers(step(40_001)), [marks.action(3) + others])
  })
})

describe('PacketPath and the journal', () => {
  it('notes what is granted, before the answers go out', () => {
    const bench = new Bench()
    bench.answers(candidate(), candidate())
    assert.deepEqual(bench.notes, [`SSHK ${digest} ${start}`])
  })

  it('notes a right knock that came too often: it is used up', () => {
    const bench = new Bench([{ ...laptop, rate: { count: 1, seconds: 60 } }])
    assert.deepEqual(bench.answers(candidate({ name: 'a' }), candidate()), [granted, refused])
    assert.equal(bench.notes[1], `SSHK ${digest} ${start}`)
  })

  it('that cannot be written turns grants into refusals, and says so', () => {
    const bench = new Bench()
    bench.disk = 'is full'
    const packets = [candidate(), candidate({ name: 'b' }), candidate({ key: 'x' }), knock({ mark: marks.pending })]
    assert.deepEqual(bench.answers(...packets), [refused, refused, refused, 0])
    assert.deepEqual(
      bench.events.map(({ kind, reason }) => `${kind} ${reason}`),
      ['refuse state-unwritable', 'refuse state-unwritable', 'refuse bad-hash'],
    )
    const { counters } = bench
    assert.deepEqual([counters.get('accepted'), counters.get('state-unwritable'), counters.get('bad-hash')], [0, 2, 1])
    assert.deepEqual(bench.trouble.length, 1)
    assert.match(bench.trouble[0] ?? '', /^error: valid knocks are refused.*ENOSPC/)
  })

  it('that cannot be written changes nothing of what earlier batches granted', () => {
    const bench = new Bench()
    const decide = (name: string) => {
      bench.path.onBatch({ packets: [candidate({ name })], count: 1, answers: new Float64Array(1) })
    }
    decide('one')
    bench.disk = 'is full'
    decide('two')
    bench.path.onAnswered()
    assert.deepEqual(
      bench.events.map(({ kind }) => kind),
      ['grant', 'refuse'],
    )
  })

  it('says once a second that it cannot be written, and grants again when it can', () => {
    const bench = new Bench()
    bench.disk = 'is full'
    for (let i = 0; i < 5; i++) bench.answers(candidate({ name: String(i) }))
    assert.equal(bench.trouble.length, 1)
    bench.clock.pass(1)
    bench.answers(candidate({ name: 'later' }))
    assert.equal(bench.trouble.length, 2)
    bench.disk = 'works'
    assert.deepEqual(bench.answers(candidate({ name: 'again' }), candidate({ name: 'later' })), [granted, refused])
  })
})

describe('PacketPath tells', () => {
  it('what the log wants to know', () => {
    const bench = new Bench()
    bench.answers(
      candidate({ version: 6, time: start + 2, port: 99 }),
      candidate({ tag: 'XXXX' }),
      Object.assign(candidate(), { version: 0 }),
    )
    assert.deepEqual(bench.events, [
      { kind: 'grant', source: '2001:db8::1', port: 99, credential: 'laptop', clockDifferenceSeconds: 2 },
      { kind: 'refuse', reason: 'unknown-tag', source: '192.0.2.1', port: 40_000 },
      { kind: 'refuse', reason: 'malformed', source: 'unknown', port: 0 },
    ])
  })

  it('fifty events a second, and how many more there were', () => {
    const bench = new Bench()
    const batch = Array.from({ length: 60 }, () => candidate({ key: 'x' }))
    bench.answers(...batch)
    bench.answers(...batch)
    assert.deepEqual([bench.events.length, bench.suppressed], [50, [{ unverified: 10, others: 0, grants: 0 }]])
    bench.clock.pass(1)
    bench.answers(candidate({ key: 'x' }))
    assert.equal(bench.events.length, 51)
    assert.deepEqual(bench.suppressed[1], { unverified: 60, others: 0, grants: 0 })
    assert.equal(bench.counters.get('bad-hash'), 121)
  })

  it('how many of those that it does not name were to be granted, and whose grants they are', () => {
    const bench = new Bench()
    bench.answers(...Array.from({ length: 60 }, (_, i) => candidate({ name: String(i), source: i })))
    const [{ unnamed = [], ...counts } = {}] = bench.suppressed.splice(0)
    assert.deepEqual(counts, { unverified: 0, others: 10, grants: 10 })
    assert.equal(unnamed.length, 10)
    assert.deepEqual(unnamed[0], { ...bench.events[0], source: unnamed[0]?.source })
    bench.answers(...Array.from({ length: 5 }, (_, i) => candidate({ name: `later ${i}`, source: 100 + i })))
    const [{ unnamed: later = [], ...none } = {}] = bench.suppressed
    assert.deepEqual([later.length, none, bench.events.length], [5, { unverified: 0, others: 0, grants: 0 }, 50])
  })

  it('whose grants they are once a second, and again when they were closed meanwhile, or could not be noted', () => {
    const closing = { ...laptop, name: 'closing', revokes: true, ...pkdSecret('CLOS', 'test') }
    const bench = new Bench([laptop, closing])
    let count = 0
    const knocks = (length: number, parts: KnockParts = {}) =>
      bench.answers(...Array.from({ length }, () => candidate({ name: String(count++), ...parts })))
    const unnamed = () => bench.suppressed.splice(0).flatMap(({ unnamed = [] }) => unnamed.map(({ kind }) => kind))
    knocks(50)
    for (let batch = 0; batch < 4; batch++) knocks(50)
    assert.deepEqual(unnamed(), [], 'the log names the same')
    knocks(20, { source: 9 })
    assert.deepEqual(unnamed(), ['grant'])
    bench.disk = 'is full'
    knocks(1, { source: 7 })
    bench.disk = 'works'
    knocks(2, { source: 7 })
    assert.deepEqual(unnamed(), ['grant'])
    bench.clock.pass(1)
    knocks(50)
    unnamed()
    knocks(3, { source: 9 })
    assert.deepEqual(unnamed(), ['grant'])
    knocks(2, { source: 9, tag: 'CLOS' })
    knocks(2, { source: 9 })
    assert.deepEqual(unnamed(), ['revoke', 'grant'])
  })

  it('right knocks, however many wrong ones and copies there are', () => {
    const bench = new Bench()
    bench.answers(...Array.from({ length: 62 }, () => candidate({ key: 'x' })), candidate())
    assert.equal(bench.events.filter(({ kind }) => kind === 'grant').length, 1)
    bench.answers(...Array.from({ length: 61 }, () => candidate()), candidate({ name: 'b' }))
    assert.equal(bench.events.filter(({ kind }) => kind === 'grant').length, 2)
  })

  it('two copies a second, of whatever kind, and how many more there were', () => {
    const bench = new Bench()
    bench.answers(candidate())
    bench.clock.pass(1)
    const copies = (name: string) => [
      candidate(),
      candidate({ name, time: start - 99 }),
      candidate({ time: start + 99 }),
    ]
    bench.answers(...copies('a'), ...copies('b'), candidate({ name: 'c' }))
    const kinds = () => bench.events.splice(0).map(({ kind, reason }) => reason ?? kind)
    assert.deepEqual(kinds(), ['grant', 'replayed', 'skewed', 'grant'])
    assert.deepEqual(bench.suppressed.splice(0), [
      { unverified: 0, others: 0, grants: 0 },
      { unverified: 0, others: 4, grants: 0 },
    ])
    bench.answers(...copies('d'))
    assert.deepEqual([kinds(), bench.suppressed], [[], []], 'a batch of which nothing is told')
    bench.clock.pass(1)
    bench.answers(...copies('e'))
    assert.deepEqual([kinds(), bench.suppressed], [['replayed', 'skewed'], [{ unverified: 0, others: 4, grants: 0 }]])
  })

  it('stale knocks as copies', () => {
    const bench = new Bench([{ ...laptop, skew: -1 }])
    const memory = new ReplayCache({ skew: -1, entries: 1000 })
    memory.raiseFloor(start)
    bench.path.verifier = new KnockVerifier([{ ...laptop, skew: -1 }], () => memory, bench.clock)
    bench.answers(...['a', 'b', 'c'].map(name => candidate({ name })))
    assert.deepEqual(
      [bench.events.map(({ reason }) => reason), bench.suppressed],
      [['stale', 'stale'], [{ unverified: 0, others: 1, grants: 0 }]],
    )
  })

  it('knocks that came too often as right ones, fifty a second', () => {
    const bench = new Bench([{ ...laptop, rate: { count: 1, seconds: 60 } }])
    bench.answers(...Array.from({ length: 60 }, (_, i) => candidate({ name: String(i) })))
    assert.deepEqual([bench.events.length, bench.suppressed], [50, [{ unverified: 0, others: 10, grants: 0 }]])
    assert.deepEqual(
      new Set(bench.events.map(({ kind, reason }) => reason ?? kind)),
      new Set(['grant', 'rate-limited']),
    )
  })

  it('that the clock was set, and not that time passes', () => {
    const bench = new Bench()
    bench.answers()
    bench.clock.pass(1000)
    bench.answers()
    bench.clock.wall += 2
    bench.answers()
    assert.deepEqual(bench.trouble, [])
    bench.clock.wall += 60
    assert.deepEqual(bench.tells(), { before: 0, after: 1 }, 'when the answers are out')
    bench.clock.wall -= 61.4
    bench.answers()
    bench.answers()
    assert.deepEqual(bench.trouble, ['warn: the clock was set ahead by 60 s', 'warn: the clock was set back by 61 s'])
  })
})

describe('PacketPath remembers for a time when the kernel forgets', () => {
  const noted = (bench: Bench) => {
    const all: string[] = []
    bench.recent.latestFirst(0, ({ version, source, mark, time }) => {
      all.push(`${version} ${source.join('.')} plan ${marks.actionOf(mark)} at ${time}`)
      return true
    })
    return all
  }

  it('what it granted, and nothing else', () => {
    const bench = new Bench()
    bench.answers(candidate(), candidate(), knock({ mark: marks.pending }), knock())
    assert.match(noted(bench).join('\n'), /^4 [\d.]+ plan 3 at 5$/)
  })

  it('not what could not be noted on disk', () => {
    const bench = new Bench()
    bench.disk = 'is full'
    bench.answers(candidate())
    assert.deepEqual(noted(bench), [])
  })
})

describe('knocks that are followed by more', () => {
  it('are told of, each one, and refused above what the other thread may be asked for', () => {
    const bench = new Bench([{ ...laptop, triggers: true }])
    let count = 0
    const some = () => Array.from({ length: 50 }, () => candidate({ name: String(count++) }))
    for (let batch = 0; batch < 4; batch++) assert.ok(bench.answers(...some()).every(answer => answer === granted))
    assert.equal(bench.effects.length, 200)
    assert.ok(bench.answers(...some()).every(answer => answer === refused))
    assert.equal(bench.effects.length, 200)
    bench.clock.pass(1)
    assert.deepEqual(bench.answers(candidate()), [granted])
    assert.deepEqual(bench.effects.at(-1), { kind: 'opened', credential: 'laptop', address: '192.0.2.1' })
  })

  it('are noted before a command makes their grant, also where no user signs', () => {
    const requested = { version: 4, address: '192.0.2.9' } as const
    const decision = { kind: 'grant', credential: laptop, knock: { requested } } as unknown as GrantDecision
    const facts = { credential: 'laptop', address: '192.0.2.9' }
    assert.deepEqual(effectsOf(decision, candidate(), sourceText), [
      { ...facts, kind: 'signed', by: 'hand' },
      { ...facts, kind: 'on-behalf' },
    ])
  })

  it('are told of when the answers are out, and not before', () => {
    const bench = new Bench([{ ...laptop, triggers: true }])
    assert.deepEqual(bench.tells(candidate(), candidate({ name: 'another' })), { before: 0, after: 4 })
    assert.deepEqual(bench.tells(), { before: 4, after: 4 })
  })

  it('are not, when they could not be noted', () => {
    const bench = new Bench([{ ...laptop, triggers: true }])
    bench.disk = 'is full'
    assert.deepEqual(bench.answers(candidate()), [refused])
    assert.deepEqual(bench.effects, [])
  })
})
