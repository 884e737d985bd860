/**
 * The packet path's own chains: which packets leave the kernel for user space, and what the answer does.
 *
 *     base chain "knock-HOOK" (-151)   candidates ──> limits ──> source into @pending ──> queue
 *                                      a new connection from a source in @pending ──────> queue
 *     base chain "grant-HOOK" (-149)   answered packets, by the mark of their verdict: chain grant-N updates sets
 *     base chain "gate-HOOK"  (-140)   see gate.ts and service.ts
 *
 * An accepted packet goes on at the next base chain, which is why these are three. Where the kernel has no nft `queue`,
 * a rule of iptables-nft at -150 queues by the mark, between the first and the second (see iptables-queue.ts); other people's
 * rules there may set marks as well. So a mark alone grants nothing: the packet must have the shape of a candidate,
 * and the numbers of plans are drawn at random (see controller/mark-allocator.ts). Marks of other packets are left alone.
 */
import type { IpFamily } from '../../net/addresses.js'
import type { Command, Expression, Hook, Json } from '../json.js'
import * as j from '../json.js'
import type { Listing } from '../listing.js'
import { packetsOf } from '../listing.js'
import { hooks } from './gate.js'
import type { SequencePorts } from './sequence-rules.js'
import { stepRules, stepSetNames, stepSets, stepShapes } from './sequence-rules.js'
import { setOf } from './service-sets.js'
import type { ServiceSpec } from './service-spec.js'
import { prefixOf } from './service-spec.js'

const knockPriority = -151
const grantPriority = -149
const pendingSeconds = 2
/** An answered source counts until it is collected, a second later: room for what comes in that time. */
const pendingSize = 1_048_576
const meterSize = 65_536
const meterSeconds = 2

/** Which datagrams are worth a look: UDP, of one length, beginning with one of these words. */
interface KnockShape {
  /** The UDP header's length field: payload and 8. */
  readonly udpLength: number
  /** The first four bytes of the payload, as a big-endian number. */
  readonly firstWord: number
  /** Destination port; null for every port. */
  readonly port: number | null
}

/** What a verdict's mark makes the kernel do: let a source into these services' sets. */
export interface GrantAction {
  /** From 1; the number that the mark carries. */
  readonly number: number
  readonly grants: readonly { readonly service: ServiceSpec; readonly seconds: number }[]
  /** Takes the source out of the services' sets instead. */
  readonly revokes: boolean
  /** The packet goes on to whoever listens, as a step of a sequence does; otherwise it ends here. */
  readonly passOn: boolean
}

export interface PacketPathSpec {
  readonly hook: Hook
  readonly queue: number
  /** Whether the kernel has the `queue` statement. */
  readonly native: boolean
  readonly marks: Marks
  readonly shapes: readonly KnockShape[]
  /** Single knocks of sequences; null when there are none. */
  readonly sequencePorts: SequencePorts | null
  readonly actions: readonly GrantAction[]
  /** Candidates a second that one source (for IPv6 one /64) may send on; the burst is twice that. */
  readonly perSourceLimit: number
  /** Candidates a second that all sources above their own limit may send on together; 0 for none. */
  readonly excessLimit: number
  /** Candidates a second in all; 0 for no limit. */
  readonly totalLimit: number
}

/**
 * pkctl's bits of the packet mark, all under one mask. The lowest bit says "for the queue"; with it, the next bit tells
 * a pending connection from a candidate. Without it, what is left is the number of a plan, or 0 with "refused".
 */
export class Marks {
  readonly shift: number
  /** How many plans can be told apart. */
  readonly maxActions: number
  /** The lowest bit of the mask, kept: marks are asked for with every packet, and a power costs more than the rest. */
  readonly #unit: number

  constructor(readonly mask: number) {
    this.shift = Math.log2((mask & -mask) >>> 0)
    this.#unit = 2 ** this.shift
    this.maxActions = (mask / this.#unit + 1) / 4 - 1
  }

  readonly #bits = (value: number): number => value * this.#unit

  get others(): number {
    return ~this.mask >>> 0
  }

  /** The bit by which packets are queued. */
  get queued(): number {
    return this.#bits(1)
  }

  get candidate(): number {
    return this.#bits(1)
  }

  get pending(): number {
    return this.#bits(3)
  }

  /** A knock of a sequence. */
  get step(): number {
    return this.#bits(5)
  }

  /** The same, of a source that has been elsewhere since its last one. */
  get strayStep(): number {
    return this.#bits(13)
  }

  get refused(): number {
    return this.#bits(2)
  }

  action(number: number): number {
    return this.#bits(number * 4)
  }

  /** The number of the plan whose mark this is. */
  actionOf(mark: number): number {
    return ((mark & this.mask) >>> 0) / this.#bits(4)
  }
}

const versions = [4, 6] as const
const addressType = (version: IpFamily) => (version === 4 ? 'ipv4_addr' : 'ipv6_addr')
const pendingOf = (version: IpFamily) => `pending-${version}`
const meterOf = (version: IpFamily) => `meter-${version}`
const actionChain = (plan: GrantAction) => `grant-${plan.number}`

/** Addresses that a stranger may take freely count as one: a whole /64 of IPv6. */
const meteredSource = (version: IpFamily) => j.source(version, version === 4 ? 32 : 64)

/** The commands that put the packet path in place of whatever packet path there was; nothing of services changes. */
export function buildPacketPath(q: PacketPathSpec, listing: Listing): Command[] {
  return [
    j.addTable(),
    ...removePacketPath(listing),
    ...versions.flatMap(version => [
      j.addSet({
        name: pendingOf(version),
        type: addressType(version),
        flags: ['timeout'],
        size: pendingSize,
        gcInterval: 1,
      }),
      j.addSet({
        name: meterOf(version),
        type: addressType(version),
        flags: ['timeout'],
        size: meterSize,
        gcInterval: 1,
      }),
    ]),
    ...(q.sequencePorts ? stepSets(q.sequencePorts) : []),
    ...q.actions.flatMap(plan => actionRules(plan, q.marks)),
    ...answerRules(q),
    ...candidateRules(q),
  ]
}

/** The commands that take the packet path away; services and grants stay as they are. */
export function removePacketPath(listing: Listing): Command[] {
  const bases = hooks.flatMap(hook => [`knock-${hook}`, `grant-${hook}`]).filter(name => listing.chains.has(name))
  const regular = [...listing.chains.keys()].filter(name =>
    /^(candidate|excess|pending|answer|answered|stepped|step|astray|grant-\d+)$/.test(name),
  )
  const sets = [...versions.flatMap(v => [pendingOf(v), meterOf(v)]), ...stepSetNames].filter(name =>
    listing.sets.has(name),
  )
  return [
    ...[...bases, ...regular].map(j.flushChain),
    ...bases.map(j.deleteChain),
    // With its elements, and never those before it: see dropGate in gate.ts.
    ...(listing.maps.has('grants') ? [j.deleteMap('grants')] : []),
    ...regular.map(j.deleteChain),
    ...sets.map(j.deleteSet),
  ]
}

/** The commands that let no further packet leave the kernel; answers to those that did still have their effect. */
export function stopQueue(listing: Listing): Command[] {
  return hooks
    .map(hook => `knock-${hook}`)
    .filter(name => listing.chains.has(name))
    .flatMap(name => [j.flushChain(name), j.deleteChain(name)])
}

/** The number of the queue that a packet path in the kernel sends to, if there is one. */
export function queueInUse(listing: Listing): number | undefined {
  const comments =
    listing.chains.get('candidate')?.rules.map(rule => /^to queue (\d+)$/.exec(rule.comment ?? '')?.[1]) ?? []
  const number = comments.find(text => text !== undefined)
  return number === undefined ? undefined : Number(number)
}

const unansweredComment = 'unanswered'

/** Knocks, and steps of sequences, that came by the queue without an answer: it was full, or nobody read it. */
export function unansweredPackets(listing: Listing): number {
  return ['answer', 'answered']
    .flatMap(chain => listing.chains.get(chain)?.rules ?? [])
    .filter(rule => rule.comment === unansweredComment)
    .reduce((sum, rule) => sum + packetsOf(rule), 0)
}

/** Whether the table would be empty but for the packet path. */
export function hasOnlyPacketPath(listing: Listing): boolean {
  return (
    listing.present && [...listing.chains.keys()].every(name => !name.startsWith('pk-') && !name.startsWith('gate-'))
  )
}

function actionRules(plan: GrantAction, marks: Marks): Command[] {
  const chain = actionChain(plan)
  return [
    j.addChain(chain),
    ...plan.grants.flatMap(({ service, seconds }) =>
      versions.map(version =>
        j.addRule(chain, [
          j.match(j.meta('nfproto'), '==', version === 4 ? 'ipv4' : 'ipv6'),
          ...grantStatements(
            plan,
            setOf(service.name, 'knock', version),
            j.source(version, prefixOf(service, version)),
            seconds,
          ),
        ]),
      ),
    ),
    // Only here, and not for what is refused: elements that are deleted stay in the set's hash until they are collected,
    // and a flood of one source would pile them up in one place of it.
    ...versions.map(version => j.addRule(chain, [j.deleteFromSet(pendingOf(version), j.source(version))])),
    j.addRule(chain, [j.counter(), ...(plan.passOn ? [clearMark(marks), j.return_()] : [j.drop()])]),
  ]
}

/**
 * A grant without end is made anew: an update without a timeout would give an element that has one the end that is now.
 */
function grantStatements({ revokes }: GrantAction, set: string, source: Json, seconds: number): Expression[] {
  if (revokes) return [j.deleteFromSet(set, source)]
  if (seconds !== Infinity) return [j.updateSet(set, source, seconds)]
  return [j.deleteFromSet(set, source), j.addToSet(set, source)]
}

function answerRules({ hook, marks, actions, shapes, sequencePorts }: PacketPathSpec): Command[] {
  const ours = j.and(j.meta('mark'), marks.mask)
  return [
    j.addVerdictMap({ name: 'grants', type: 'mark' }),
    ...actions.map(plan => j.addElements('grants', [[marks.action(plan.number), j.goto(actionChain(plan))] as Json])),
    j.addChain('answer'),
    // A connection that waited behind a knock: the gate judges it like any other, without a trace of the wait.
    j.addRule('answer', [j.match(ours, '==', marks.pending), clearMark(marks), j.return_()]),
    // A step of a sequence that nobody answered goes on as well.
    ...(sequencePorts ? [marks.step, marks.strayStep] : []).map(bits =>
      j.addRule('answer', [j.match(ours, '==', bits), j.counter(), clearMark(marks), j.return_()], unansweredComment),
    ),
    j.addChain('answered'),
    j.addRule('answered', [j.vmap(ours, 'grants')]),
    // Refused, or never answered: a queue that nobody reads, or that overflows, lets its packets go on to here.
    j.addRule('answered', [j.match(ours, '==', marks.candidate), j.counter(), j.drop()], unansweredComment),
    j.addRule('answered', [j.counter(), j.drop()], 'refused'),
    ...shapeMatches(shapes).map(shape => j.addRule('answer', [...shape, j.goto('answered')])),
    ...(sequencePorts ? [j.addChain('stepped'), ...stepAnswers(ours, sequencePorts)] : []),
    j.addBaseChain(`grant-${hook}`, hook, grantPriority),
    j.addRule(`grant-${hook}`, [j.match(ours, '!=', 0), j.goto('answer')]),
  ]
}

/** The last step of a sequence, with its plan; any other mark on such a packet is somebody else's. */
function stepAnswers(ours: Json, stepping: SequencePorts): Command[] {
  return [
    j.addRule('stepped', [j.vmap(ours, 'grants')]),
    ...stepShapes(stepping).map(shape => j.addRule('answer', [...shape, j.goto('stepped')])),
  ]
}

const clearMark = (marks: Marks): Expression => j.setMark(j.and(j.meta('mark'), marks.others))
const mark = (bits: number): Expression => j.setMark(j.or(j.meta('mark'), bits))

function candidateRules(q: PacketPathSpec): Command[] {
  const { hook, marks } = q
  const base = `knock-${hook}`
  const send: Expression[] = q.native ? [{ queue: { num: q.queue, flags: ['bypass'] } }] : [j.accept()]
  const over = (rate: number) => j.limit({ count: rate, unit: 'second' }, 2 * rate, true)
  const within = (rate: number) => j.limit({ count: rate, unit: 'second' }, 2 * rate)
  const synOnly = j.match(synAck, '==', 'syn')
  const local = j.match({ fib: { result: 'type', flags: ['daddr'] } }, '==', 'local')
  // What is routed onward comes by there as well.
  const here = hook === 'prerouting' ? [local] : []
  return [
    j.addChain('candidate'),
    // Sources can be forged: whoever sends in the name of another must not use up what that one needs.
    j.addChain('excess'),
    ...(q.excessLimit > 0 ? [j.addRule('excess', [within(q.excessLimit), j.return_()])] : []),
    j.addRule('excess', [j.counter(), j.drop()]),
    ...versions.map(version =>
      j.addRule('candidate', [
        j.updateSet(meterOf(version), meteredSource(version), meterSeconds, [over(q.perSourceLimit)]),
        j.jump('excess'),
      ]),
    ),
    ...(q.totalLimit > 0 ? [j.addRule('candidate', [over(q.totalLimit), j.counter(), j.drop()])] : []),
    // On its own, not before the queueing: a full set ends the rule in which it is updated.
    ...versions.map(version =>
      j.addRule('candidate', [j.updateSet(pendingOf(version), j.source(version), pendingSeconds)]),
    ),
    j.addRule('candidate', [j.counter(), mark(marks.candidate), ...send], `to queue ${q.queue}`),
    j.addChain('pending'),
    // Above its share a source does not wait: the gate judges it at once, and the queue is for others.
    ...versions.map(version =>
      j.addRule('pending', [
        j.updateSet(meterOf(version), meteredSource(version), meterSeconds, [over(q.perSourceLimit)]),
        j.accept(),
      ]),
    ),
    j.addRule('pending', [j.counter(), mark(marks.pending), ...send]),
    j.addBaseChain(base, hook, knockPriority),
    // Nobody but this table may have set these bits: a packet that comes in with them was not verified by anyone.
    j.addRule(base, [j.match(j.and(j.meta('mark'), marks.mask), '!=', 0), clearMark(marks)]),
    // Most packets are of connections that run: they are through with this chain.
    ...(onlyStarts(q) ? [j.addRule(base, [j.match(synAck, '!=', 'syn'), j.accept()])] : []),
    ...shapeMatches(q.shapes).map(shape => j.addRule(base, [...shape, ...here, j.goto('candidate')])),
    ...(q.sequencePorts
      ? stepRules(base, q.sequencePorts, marks, {
          overLimit: version =>
            j.updateSet(meterOf(version), meteredSource(version), meterSeconds, [over(q.perSourceLimit)]),
          pend: version => j.updateSet(pendingOf(version), j.source(version), pendingSeconds),
          mark,
          send,
          here,
        })
      : []),
    ...versions.flatMap(version => {
      const waiting = j.inSet(j.source(version), pendingOf(version))
      return [
        j.addRule(base, [synOnly, waiting, ...here, j.goto('pending')]),
        // Connections of the other protocols have no first packet that could be told; while a knock is in flight, all wait.
        j.addRule(base, [j.anyOf(j.meta('l4proto'), [17, 33, 132, 136]), waiting, ...here, j.goto('pending')]),
      ]
    }),
  ]
}

const synAck = j.and(j.field('tcp', 'flags'), { '|': ['syn', 'ack'] })

/** Whether no TCP packet but the start of a connection is worth a look. */
const onlyStarts = ({ sequencePorts }: PacketPathSpec) =>
  sequencePorts === null || sequencePorts.flagRules.every(({ mask, value }) => (mask & 18) === 18 && (value & 18) === 2)

/** One rule for each length and port that occurs: the number of words does not matter, they are a hash set. */
function shapeMatches(candidates: readonly KnockShape[]): Expression[][] {
  const groups = new Map<string, KnockShape[]>()
  for (const candidate of candidates) {
    const key = `${candidate.udpLength} ${candidate.port}`
    groups.set(key, [...(groups.get(key) ?? []), candidate])
  }
  return [...groups.values()].map(group => {
    const { udpLength, port } = group[0] as KnockShape
    return [
      j.match(j.field('udp', 'length'), '==', udpLength),
      ...(port === null ? [] : [j.match(j.field('udp', 'dport'), '==', port)]),
      j.anyOf(j.transportBits(64, 32), [...new Set(group.map(({ firstWord }) => firstWord))]),
    ]
  })
}
