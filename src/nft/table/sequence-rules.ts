/**
 * The part of the packet path that sends single knocks of sequences to user space: connection starts and datagrams to
 * ports that belong to a sequence, and nothing else, whatever is scanned.
 *
 *     to a port in @knock-ports ──> chain step: source into @midway and @pending ──> queue, marked as a step,
 *                                               or as a stray's step if the source is in @astray
 *     from a source in @midway, elsewhere ────> source into @astray; goes on
 *
 * A source in mid-sequence that turns to any other port is only noted: its next step carries the note, and user space
 * begins the sequence again. So a scan costs no more than its few hits, and cannot go through a sequence. Whatever cannot be noted
 * (a full set, a source above its limit) is not counted as a step: in doubt nothing opens.
 *
 * Steps go on to the program that listens on their port; the answer clears their mark, or grants first (see install-packet-path.ts).
 */
import type { IpFamily } from '../../net/index.js'
import { ipFamilies, protocolUdp } from '../../net/index.js'
import type { Command, Expression } from '../nft-json.js'
import * as j from '../nft-json.js'
import { comesInBy } from './incoming-interface.js'
import type { Marks } from './marks.js'
import { clearMark, setOwnBits } from './marks.js'
import { addPending } from './pending-and-limits.js'
import { addressType } from './service-sets.js'

export interface SequencePorts {
  /** Where the knocks of sequences go: IANA protocol number (TCP or UDP) and port. */
  readonly ports: readonly { readonly protocol: number; readonly port: number }[]
  /** Ports that a source in mid-sequence may use without having to begin again. */
  readonly openPorts: readonly number[]
  /** Which TCP packets are steps: those whose flags, under `mask`, are `value`. */
  readonly flagRules: readonly { readonly mask: number; readonly value: number }[]
  /** How long a source can be in mid-sequence. */
  readonly seconds: number
  /** By which interfaces knocks must come in; empty for all. */
  readonly interfaces: readonly string[]
}

const midwaySize = 65_536
const midwayOf = (version: IpFamily) => `midway-${version}`
const astrayOf = (version: IpFamily) => `astray-${version}`
const portSet = 'knock-ports'
const openPortSet = 'open-ports'

/** The sets that the packet path only reads. */
export const filledByCommand = [portSet, openPortSet]
export const stepSetNames = [...ipFamilies.flatMap(v => [midwayOf(v), astrayOf(v)]), ...filledByCommand]

const isUdp = j.match(j.meta('l4proto'), '==', protocolUdp)
const target = j.concat(j.meta('l4proto'), j.field('th', 'dport'))

/** What starts something: TCP packets with the flags of a step, usually the start of a connection, and datagrams. */
function starts({ flagRules }: SequencePorts): { protocol: 'tcp' | 'udp'; is: Expression }[] {
  const flags = j.field('tcp', 'flags')
  const tcp = flagRules.map(({ mask, value }) => j.match(j.and(flags, mask), '==', value))
  return [...tcp.map(is => ({ protocol: 'tcp' as const, is })), { protocol: 'udp', is: isUdp }]
}

/** What a step looks like: such a packet to a port of a sequence, by an interface that counts. */
export const stepShapes = (stepping: SequencePorts): Expression[][] =>
  starts(stepping).map(({ is }) => [is, j.inSet(target, portSet), ...comesInBy(stepping.interfaces)])

/** The sets; those that only the kernel fills are empty after a change, and a source in mid-sequence has to begin again. */
export function stepSets({ ports, openPorts }: SequencePorts): Command[] {
  const timed = { flags: ['timeout'], gcInterval: 1 }
  return [
    ...ipFamilies.flatMap(version => [
      j.addSet({ name: midwayOf(version), type: addressType(version), size: midwaySize, ...timed }),
      // Only sources that are in @midway come here, so that this one is never the first to be full.
      j.addSet({ name: astrayOf(version), type: addressType(version), size: 2 * midwaySize, ...timed }),
    ]),
    j.addSet({ name: portSet, type: ['inet_proto', 'inet_service'] }),
    j.addElements(
      portSet,
      ports.map(({ protocol, port }) => j.concat(protocol, port)),
    ),
    j.addSet({ name: openPortSet, type: 'inet_service' }),
    ...(openPorts.length > 0 ? [j.addElements(openPortSet, openPorts)] : []),
  ]
}

/**
 * The chains, and the rules of the chains of `bases`, by protocol. `overLimit` matches and counts a source above its share; `pend` notes
 * the source as pending; `send` queues.
 */
export function stepRules(
  bases: Readonly<Record<'tcp' | 'udp', string>>,
  stepping: SequencePorts,
  marks: Marks,
  parts: {
    readonly overLimit: (version: IpFamily) => Expression
    readonly send: readonly Expression[]
    /** The first rules of a chain, as in incoming-interface.ts. */
    readonly leaveOthers: (leave: Expression) => Expression[][]
  },
): Command[] {
  const { overLimit, send, leaveOthers } = parts
  const { seconds, interfaces } = stepping
  const notedAstray = (version: IpFamily) => j.updateSet(astrayOf(version), j.source(version), seconds)
  return [
    j.addChain('step'),
    ...leaveOthers(j.accept()).map(expr => j.addRule('step', expr)),
    ...ipFamilies.flatMap(version => {
      const source = j.source(version)
      return [
        // It goes on unasked, and so without any mark that the gate could take for an answer.
        j.addRule('step', [overLimit(version), clearMark(marks), notedAstray(version), j.accept()]),
        j.addRule('step', [addPending(version)]),
        j.addRule('step', [
          j.inSet(source, astrayOf(version)),
          j.deleteFromSet(astrayOf(version), source),
          j.updateSet(midwayOf(version), source, seconds),
          j.counter(),
          setOwnBits(marks, marks.strayStep),
          ...send,
        ]),
        j.addRule('step', [
          j.updateSet(midwayOf(version), source, seconds),
          j.counter(),
          setOwnBits(marks, marks.step),
          ...send,
        ]),
      ]
    }),
    // A source for which there is no room goes on like one above its limit.
    j.addRule('step', [clearMark(marks)]),
    j.addChain('astray'),
    ...leaveOthers(j.return_()).map(expr => j.addRule('astray', expr)),
    j.addRule('astray', [j.inSet(j.field('th', 'dport'), openPortSet), j.return_()]),
    ...ipFamilies.map(version => j.addRule('astray', [notedAstray(version)])),
    ...starts(stepping).map(({ protocol, is }) =>
      j.addRule(bases[protocol], [is, j.inSet(target, portSet), ...comesInBy(interfaces), j.goto('step')]),
    ),
    ...ipFamilies.flatMap(version =>
      starts(stepping).map(({ protocol, is }) =>
        j.addRule(bases[protocol], [
          is,
          j.inSet(j.source(version), midwayOf(version)),
          ...comesInBy(interfaces),
          j.jump('astray'),
        ]),
      ),
    ),
  ]
}
