/** How the kernel knows the packets that may be knocks. */
import type { Expression } from '../nft-json.js'
import * as j from '../nft-json.js'
import { comesInBy } from './incoming-interface.js'
import type { KnockShape } from './packet-path-spec.js'

/** Shapes that one rule matches: those that differ in nothing but their first words. */
interface Group extends Pick<KnockShape, 'port' | 'interfaces'> {
  readonly lengths: readonly number[]
  /** Of each word. */
  readonly bits: number
  readonly words: readonly number[]
}

/** One rule for each length, port and list of interfaces that occurs: the number of words does not matter, they are a hash set. */
export const shapeMatches = (shapes: readonly KnockShape[]): Expression[][] =>
  grouped(shapes.filter(shape => !changesByPeriod(shape))).map(group => [
    ...sizeAndPort(group),
    j.anyOf(j.transportBits(64, group.bits), [...new Set(group.words)]),
    ...comesInBy(group.interfaces),
  ])

/** The same for packets whose words are compared by the chain of periods.ts. */
export const periodMatches = (shapes: readonly KnockShape[]): Expression[][] =>
  grouped(shapes.filter(changesByPeriod)).map(group => [...sizeAndPort(group), ...comesInBy(group.interfaces)])

/** What has one of these lengths; nothing where there is none. */
export const lengthMatches = (lengths: readonly number[]): Expression[][] =>
  lengths.length === 0 ? [] : [sizeAndPort({ lengths: [...new Set(lengths)].sort((a, b) => a - b), port: null })]

const changesByPeriod = (shape: KnockShape) => 'secondWord' in shape

function sizeAndPort({ lengths, port }: Pick<Group, 'lengths' | 'port'>): Expression[] {
  const size =
    lengths.length === 1
      ? j.match(j.field('udp', 'length'), '==', lengths[0] as number)
      : j.anyOf(j.field('udp', 'length'), lengths)
  return port === null ? [size] : [size, j.match(j.field('udp', 'dport'), '==', port)]
}

function grouped(shapes: readonly KnockShape[]): Group[] {
  const groups = new Map<string, Group>()
  for (const shape of shapes) {
    const { port, interfaces } = shape
    const isFixed = 'firstWord' in shape
    const [lengths, words] = isFixed ? [[shape.udpLength], [shape.firstWord]] : [shape.udpLengths, shape.firstBytes]
    const bits = isFixed ? 32 : 8
    const key = [lengths.join(), port, bits, ...interfaces].join(' ')
    groups.set(key, { ...{ port, interfaces, lengths, bits }, words: [...(groups.get(key)?.words ?? []), ...words] })
  }
  return [...groups.values()]
}
