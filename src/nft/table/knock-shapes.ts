/** How the kernel knows the packets that may be knocks. */
import type { Expression, Hook } from '../json.js'
import * as j from '../json.js'
import type { KnockShape } from './packet-path-spec.js'

/** One rule for each length and port that occurs: the number of words does not matter, they are a hash set. */
export function shapeMatches(candidates: readonly KnockShape[]): Expression[][] {
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

/** What matches packets for this machine, on a hook where those pass as well that are routed onward. */
export const forThisMachine = (hook: Hook): Expression[] =>
  hook === 'prerouting' ? [j.match({ fib: { result: 'type', flags: ['daddr'] } }, '==', 'local')] : []
