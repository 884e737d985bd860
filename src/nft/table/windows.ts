/**
 * Packets whose first words change with time. Two chains compare them with the words of this window and its neighbours, one
 * on the way to the queue and one on the way back; the daemon writes both again at each turn. They compare nothing when the
 * daemon has not done so for some time.
 *
 * The words are in rules, not in a set: nft 1.0.6 has no JSON for a set of raw bytes.
 */
import { protocolUdp } from '../../net/index.js'
import type { Command, SetDefinition } from '../json.js'
import * as j from '../json.js'

type Words = { readonly firstWord: number; readonly secondWord?: number } | { readonly firstBytes: readonly number[] }

/** The first two words of a packet. */
export type WindowWords = readonly [number, number]

/** Jumped to with packets of the right size; leads candidates to their chain. */
export const windowChain = 'windowed'
/** The same for answers. */
export const windowAnswerChain = 'windowed-answer'
/** Where those lead that have the words. */
const targets = { [windowChain]: 'candidate', [windowAnswerChain]: 'answered' }
export const windowChains: readonly string[] = Object.keys(targets)
export const windowSet = 'windows'

/** Three turns. */
const windowSeconds = 90

const windowSetDefinition: SetDefinition = { name: windowSet, type: 'inet_proto', flags: ['timeout'] }

export function windowWords(shapes: readonly Words[]): WindowWords[] {
  const words = shapes.flatMap(shape =>
    'firstWord' in shape && shape.secondWord !== undefined ? [[shape.firstWord, shape.secondWord] as const] : [],
  )
  return [...new Map(words.map(pair => [pair.join(), pair])).values()]
}

/** The set, and the chains without rules, which other chains can then name; nothing where no shape has a second word. */
export const addWindows = (shapes: readonly Words[]): Command[] =>
  windowWords(shapes).length === 0 ? [] : [j.addSet(windowSetDefinition), ...windowChains.map(j.addChain)]

/** What is in them at first, when the chains that they lead to are there. */
export function fillWindows(shapes: readonly Words[]): Command[] {
  const words = windowWords(shapes)
  return words.length === 0 ? [] : [...rulesFor(words), ...stayOpen()]
}

/** The rules for other words instead of those that are there. */
export const renewWindows = (words: readonly WindowWords[]): Command[] => [
  ...windowChains.map(j.flushChain),
  ...rulesFor(words),
  ...stayOpen(),
]

const rulesFor = (words: readonly WindowWords[]): Command[] =>
  Object.entries(targets).flatMap(([chain, target]) =>
    words.map(([first, second]) =>
      j.addRule(chain, [
        j.match(j.meta('l4proto'), '==', `@${windowSet}`),
        j.match(j.transportBits(64, 32), '==', first),
        j.match(j.transportBits(96, 32), '==', second),
        j.goto(target),
      ]),
    ),
  )

function stayOpen(): Command[] {
  const timed = [{ elem: { val: protocolUdp, timeout: windowSeconds } }]
  // An element that is there keeps its time when it is added; and what is not there cannot be deleted.
  return [j.addElements(windowSet, timed), j.deleteElements(windowSet, [protocolUdp]), j.addElements(windowSet, timed)]
}
