/**
 * The first base chain of the packet path: which packets leave the kernel for user space. What starts no connection is
 * through with it at once, and the rest goes by protocol into a chain of its own, so that a SYN meets one lookup.
 *
 * Marks of other programs stay as they are but on packets with the shape of a knock or a step, and on those that are held
 * back behind one. Those lose pkctl's bits, also where another program has set them: they were not verified.
 */
import { ipFamilies, protocolNumbers, protocolUdp } from '../../net/index.js'
import type { Command, Expression, Hook } from '../nft-json.js'
import * as j from '../nft-json.js'
import type { Listing } from '../listing.js'
import { packetsOf } from '../listing.js'
import { knocksForThisMachine, leaveOthers } from './incoming-interface.js'
import { gatePriority } from './gate.js'
import { lengthMatches, shapeMatches, periodMatches } from './knock-shapes.js'
import { setOwnBits } from './marks.js'
import type { PacketPathSpec } from './packet-path-spec.js'
import { addPending, isNetworkOverLimit, isOverLimit, isPending, packetLimit } from './pending-and-limits.js'
import { stepRules } from './sequence-rules.js'
import { fillPeriods, periodChain } from './periods.js'

/** With nft's own statement the two base chains are neighbours: no priority for another program's chain is between them. */
const nativePriority = gatePriority - 1
/** Otherwise the rule of iptables-nft, in its table at -150, comes between them (see iptables-queue.ts). */
const fallbackPriority = -151

export const knockChainOf = (hook: Hook): string => `knock-${hook}`
const chains = { tcp: 'knock-tcp', udp: 'knock-udp', rest: 'knock-rest' } as const
const strayPrefixComment = 'no current prefix'
const strayTagComment = 'no known tag'

/** What a rule has counted since the packet path was last installed: the packets could be meant as knocks, and are not queued. */
export interface UnqueuedPackets {
  /** The number of the table, and that of the rule. */
  readonly rule: string
  /** As long as a knock whose prefix is of no window that counts; or as one with a tag, without that, the port or the interface of any credential. */
  readonly kind: 'other-minute' | 'no-credential'
  readonly packets: number
}

export const unqueuedPackets = (listing: Listing): UnqueuedPackets[] =>
  (listing.chains.get(chains.udp)?.rules ?? []).flatMap(rule => {
    const kind = unqueuedKinds.get(rule.comment ?? '')
    return kind ? [{ rule: `${listing.handle} ${rule.handle}`, kind, packets: packetsOf(rule) }] : []
  })

const unqueuedKinds: ReadonlyMap<string, UnqueuedPackets['kind']> = new Map([
  [strayPrefixComment, 'other-minute'],
  [strayTagComment, 'no-credential'],
])

export function knockRules(spec: PacketPathSpec): Command[] {
  const { hook, native } = spec
  const base = knockChainOf(hook)
  const forUs = (...conditions: Expression[]) => knocksForThisMachine(hook, ...conditions)
  const pending = (chain: string, ...conditions: Expression[]) =>
    ipFamilies.map(version => j.addRule(chain, [...conditions, isPending(version), j.goto('pending')]))
  const starts = onlyStarts(spec)
  return [
    ...candidateChain(spec),
    ...pendingChain(spec),
    ...fillPeriods(spec.shapes),
    ...Object.values(chains).map(chain => j.addChain(chain)),
    ...shapeMatches(spec.shapes).flatMap(shape =>
      forUs(...shape).map(expr => j.addRule(chains.udp, [...expr, j.goto('candidate')])),
    ),
    ...periodMatches(spec.shapes).flatMap(shape =>
      forUs(...shape).flatMap(expr => [
        j.addRule(chains.udp, [...expr, j.jump(periodChain)]),
        // Those that are not of this minute; candidates do not come back.
        j.addRule(chains.udp, [...expr, j.counter()], strayPrefixComment),
      ]),
    ),
    // Candidates do not come back here either.
    ...lengthMatches(spec.taggedLengths).flatMap(length =>
      forUs(...length).map(expr => j.addRule(chains.udp, [...expr, j.counter()], strayTagComment)),
    ),
    ...(spec.sequencePorts
      ? stepRules(chains, spec.sequencePorts, spec.marks, {
          overLimit: version => isOverLimit(version, spec.perSourceLimit),
          send: queueing(spec),
          leaveOthers: leave => leaveOthers(hook, leave),
        })
      : []),
    ...pending(chains.tcp, ...(starts ? [] : [j.match(synAck, '==', 'syn')])),
    // Connections of the other protocols have no first packet that the kernel could know; while a knock is in flight, all wait.
    ...pending(chains.udp),
    ...pending(chains.rest),
    j.addBaseChain(base, hook, native ? nativePriority : fallbackPriority),
    ...(starts ? [j.addRule(base, [j.match(synAck, '!=', 'syn'), j.accept()])] : []),
    j.addRule(base, [j.match(j.meta('l4proto'), '==', protocolNumbers.tcp), j.goto(chains.tcp)]),
    j.addRule(base, [j.match(j.meta('l4proto'), '==', protocolUdp), j.goto(chains.udp)]),
    j.addRule(base, [j.anyOf(j.meta('l4proto'), otherProtocols), j.goto(chains.rest)]),
  ]
}

/** Limits, then the source into @pending, then the queue. */
function candidateChain(spec: PacketPathSpec): Command[] {
  const { marks, queue, perSourceLimit, perNetworkLimit, excessLimit, totalLimit } = spec
  const add = (...expr: Expression[]) => j.addRule('admitted', expr)
  return [
    j.addChain('candidate'),
    j.addChain('excess'),
    j.addChain('admitted'),
    ...(totalLimit > 0 ? [add(packetLimit(totalLimit, true), j.counter(), j.drop())] : []),
    ...ipFamilies.map(version => add(addPending(version))),
    j.addRule('admitted', [j.counter(), setOwnBits(marks, marks.candidate), ...queueing(spec)], `to queue ${queue}`),
    // Sources can be forged: who sends in the name of another must not use up what that one needs.
    ...(excessLimit > 0 ? [j.addRule('excess', [packetLimit(excessLimit), j.goto('admitted')])] : []),
    j.addRule('excess', [j.counter(), j.drop()]),
    ...ipFamilies.map(version => j.addRule('candidate', [isOverLimit(version, perSourceLimit), j.goto('excess')])),
    // What one source has sent above its own limit does not count for its network.
    ...ipFamilies.map(version =>
      j.addRule('candidate', [isNetworkOverLimit(version, perNetworkLimit), j.goto('excess')]),
    ),
    j.addRule('candidate', [j.goto('admitted')]),
  ]
}

function pendingChain(spec: PacketPathSpec): Command[] {
  const { hook, marks, perSourceLimit } = spec
  return [
    j.addChain('pending'),
    ...leaveOthers(hook, j.accept()).map(expr => j.addRule('pending', expr)),
    // Above its share a source does not wait: the gate judges it at once, and the queue is for others.
    ...ipFamilies.map(version => j.addRule('pending', [isOverLimit(version, perSourceLimit), j.accept()])),
    j.addRule('pending', [j.counter(), setOwnBits(marks, marks.pending), ...queueing(spec)]),
  ]
}

const queueing = ({ native, queue }: PacketPathSpec): Expression[] =>
  native ? [{ queue: { num: queue, flags: ['bypass'] } }] : [j.accept()]

const synAck = j.and(j.field('tcp', 'flags'), { '|': ['syn', 'ack'] })

const otherProtocols = Object.values(protocolNumbers).filter(
  number => number !== protocolNumbers.tcp && number !== protocolUdp,
)

/** Whether no TCP packet but the start of a connection is worth a look. */
const onlyStarts = ({ sequencePorts }: PacketPathSpec) =>
  sequencePorts === null || sequencePorts.flagRules.every(({ mask, value }) => (mask & 18) === 18 && (value & 18) === 2)
