/**
 * Packets whose first words change with time. Two chains compare them with the words of this period and its neighbours, one
 * on the way to the queue and one on the way back; the daemon writes both again at each turn. They compare nothing when the
 * daemon has not done so for some time.
 *
 * The words are in rules, not in a set: nft 1.0.6 has no JSON for a set of raw bytes.
 */
import { protocolUdp } from '../../net/index.js'
import type { Command, SetDefinition } from '../nft-json.js'
import * as j from '../nft-json.js'

type Words = { readonly firstWord: number; readonly secondWord?: number } | { readonly firstBytes: readonly number[] }

/** The first two words of a packet. */
export type PeriodWords = readonly [number, number]

/** Jumped to with packets of the right size; leads candidates to their chain. */
export const periodChain = 'windowed'
/** The same for answers. */
export const periodAnswerChain = 'windowed-answer'
/** Where those lead that have the words. */
const targets = { [periodChain]: 'candidate', [periodAnswerChain]: 'answered' }
export const periodChains: readonly string[] = Object.keys(targets)
export const periodSet = 'windows'

/** Three turns. */
const periodSeconds = 90

const periodSetDefinition: SetDefinition = { name: periodSet, type: 'inet_proto', flags: ['timeout'] }

export function periodWords(shapes: readonly Words[]): PeriodWords[] {
  const words = shapes.flatMap(shape =>
    'firstWord' in shape && shape.secondWord !== undefined ? [[shape.firstWord, shape.secondWord] as const] : [],
  )
  return [...new Map(words.map(pair => [pair.join(), pair])).values()]
}

/** The set, and the chains without rules, which other chains can then name; nothing where no shape has a second word. */
export const addPeriods = (shapes: readonly Words[]): Command[] =>
  periodWords(shapes).length === 0 ? [] : [j.addSet(periodSetDefinition), ...periodChains.map(j.addChain)]

/** What is in them at first, when the chains that they lead to are there. */
export function fillPeriods(shapes: readonly Words[]): Command[] {
  const words = periodWords(shapes)
  return words.length === 0 ? [] : [...rulesFor(words), ...stayOpen()]
}

/** The rules for other words instead of those that are there. */
export const renewPeriods = (words: readonly PeriodWords[]): Command[] => [
  ...periodChains.map(j.flushChain),
  ...rulesFor(words),
  ...stayOpen(),
]

const rulesFor = (words: readonly PeriodWords[]): Command[] =>
  Object.entries(targets).flatMap(([chain, target]) =>
    words.map(([first, second]) =>
      j.addRule(chain, [
        j.match(j.meta('l4proto'), '==', `@${periodSet}`),
        j.match(j.transportBits(64, 32), '==', first),
        j.match(j.transportBits(96, 32), '==', second),
        j.goto(target),
      ]),
    ),
  )

function stayOpen(): Command[] {
  const timed = [{ elem: { val: protocolUdp, timeout: periodSeconds } }]
  // An element that is there keeps its time when it is added; and what is not there cannot be deleted.
  return [j.addElements(periodSet, timed), j.deleteElements(periodSet, [protocolUdp]), j.addElements(periodSet, timed)]
}
