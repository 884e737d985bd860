/** Prefixes of both families, to look addresses up in. */
import { BlockList } from 'node:net'
import type { Requested } from '../../knock/index.js'
import { splitPrefix } from '../../net/index.js'

export type Prefixes = Readonly<Record<4 | 6, BlockList>>

/** The prefixes as a list; null when there are none. */
// A list for each family: in one of both, an address of IPv4 would also be looked for as its form in IPv6, and ::/0 has all.
export function prefixList(prefixes: readonly string[]): Prefixes | null {
  if (prefixes.length === 0) return null
  const lists = { 4: new BlockList(), 6: new BlockList() }
  for (const prefix of prefixes) {
    const { version, address, length } = splitPrefix(prefix)
    lists[version].addSubnet(address, length, `ipv${version}`)
  }
  return lists
}

export const isIn = (lists: Prefixes, { version, address }: Requested): boolean =>
  lists[version].check(address, `ipv${version}`)
