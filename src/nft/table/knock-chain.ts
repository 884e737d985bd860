/** The first base chain of the packet path: which packets leave the kernel for user space. */
import { ipFamilies, protocolNumbers } from '../../net/index.js'
import type { Command, Expression, Hook } from '../json.js'
import * as j from '../json.js'
import { shapeMatches } from './knock-shapes.js'
import { addMark, clearMark, ownBits } from './marks.js'
import type { PacketPathSpec } from './packet-path-spec.js'
import { addPending, isOverLimit, isPending, packetLimit } from './pending-sources.js'
import { stepRules } from './sequence-rules.js'

const knockPriority = -151

export const knockChainOf = (hook: Hook): string => `knock-${hook}`

export function knockRules(spec: PacketPathSpec): Command[] {
  const { hook, marks } = spec
  const base = knockChainOf(hook)
  // On this hook packets pass that are routed onward.
  const here = hook === 'prerouting' ? [isLocal] : []
  return [
    ...candidateChain(spec),
    ...pendingChain(spec),
    j.addBaseChain(base, hook, knockPriority),
    // These bits are this table's alone: a packet that arrives with them was not verified.
    j.addRule(base, [j.match(ownBits(marks), '!=', 0), clearMark(marks)]),
    // Most packets are of connections that run: they are through with this chain.
    ...(onlyStarts(spec) ? [j.addRule(base, [j.match(synAck, '!=', 'syn'), j.accept()])] : []),
    ...shapeMatches(spec.shapes).map(shape => j.addRule(base, [...shape, ...here, j.goto('candidate')])),
    ...(spec.sequencePorts
      ? stepRules(base, spec.sequencePorts, marks, {
          overLimit: version => isOverLimit(version, spec.perSourceLimit),
          send: queueing(spec),
          here,
        })
      : []),
    ...ipFamilies.flatMap(version => [
      j.addRule(base, [j.match(synAck, '==', 'syn'), isPending(version), ...here, j.goto('pending')]),
      // Connections of the other protocols have no first packet that the kernel could know; while a knock is in flight, all wait.
      j.addRule(base, [isConnectionless, isPending(version), ...here, j.goto('pending')]),
    ]),
  ]
}

/** Limits, then the source into @pending, then the queue. */
function candidateChain(spec: PacketPathSpec): Command[] {
  const { marks, queue, perSourceLimit, excessLimit, totalLimit } = spec
  return [
    j.addChain('candidate'),
    // Sources can be forged: who sends in the name of another must not use up what that one needs.
    j.addChain('excess'),
    ...(excessLimit > 0 ? [j.addRule('excess', [packetLimit(excessLimit), j.return_()])] : []),
    j.addRule('excess', [j.counter(), j.drop()]),
    ...ipFamilies.map(version => j.addRule('candidate', [isOverLimit(version, perSourceLimit), j.jump('excess')])),
    ...(totalLimit > 0 ? [j.addRule('candidate', [packetLimit(totalLimit, true), j.counter(), j.drop()])] : []),
    ...ipFamilies.map(version => j.addRule('candidate', [addPending(version)])),
    j.addRule('candidate', [j.counter(), addMark(marks.candidate), ...queueing(spec)], `to queue ${queue}`),
  ]
}

function pendingChain(spec: PacketPathSpec): Command[] {
  return [
    j.addChain('pending'),
    // Above its share a source does not wait: the gate judges it at once, and the queue is for others.
    ...ipFamilies.map(version => j.addRule('pending', [isOverLimit(version, spec.perSourceLimit), j.accept()])),
    j.addRule('pending', [j.counter(), addMark(spec.marks.pending), ...queueing(spec)]),
  ]
}

const queueing = ({ native, queue }: PacketPathSpec): Expression[] =>
  native ? [{ queue: { num: queue, flags: ['bypass'] } }] : [j.accept()]

const synAck = j.and(j.field('tcp', 'flags'), { '|': ['syn', 'ack'] })
const isLocal = j.match({ fib: { result: 'type', flags: ['daddr'] } }, '==', 'local')

const { tcp: _, ...connectionless } = protocolNumbers
const isConnectionless = j.anyOf(j.meta('l4proto'), Object.values(connectionless))

/** Whether no TCP packet but the start of a connection is worth a look. */
const onlyStarts = ({ sequencePorts }: PacketPathSpec) =>
  sequencePorts === null || sequencePorts.flagRules.every(({ mask, value }) => (mask & 18) === 18 && (value & 18) === 2)
