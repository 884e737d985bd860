/** How the kernel knows the packets that may be knocks. */
import type { Expression } from '../json.js'
import * as j from '../json.js'
import { comesInBy } from './arrival.js'
import type { KnockShape } from './packet-path-spec.js'

/** One rule for each length, port and list of interfaces that occurs: the number of words does not matter, they are a hash set. */
export function shapeMatches(shapes: readonly KnockShape[]): Expression[][] {
  const groups = new Map<string, KnockShape[]>()
  for (const shape of shapes) {
    const key = [shape.udpLength, shape.port, ...shape.interfaces].join(' ')
    groups.set(key, [...(groups.get(key) ?? []), shape])
  }
  return [...groups.values()].map(group => {
    const { udpLength, port, interfaces } = group[0] as KnockShape
    return [
      j.match(j.field('udp', 'length'), '==', udpLength),
      ...(port === null ? [] : [j.match(j.field('udp', 'dport'), '==', port)]),
      j.anyOf(j.transportBits(64, 32), [...new Set(group.map(({ firstWord }) => firstWord))]),
      ...comesInBy(interfaces),
    ]
  })
}
