/** Prefixes of addresses, `192.0.2.0/24`: parse, print, contain. */
import { quote, unexpected, ValueError } from '../util/index.js'
import type { IpFamily } from './addresses.js'
import {
  addressToNumber,
  bitsOf,
  familyOf,
  formatAddress,
  hostBits,
  parseFamily,
  refuseIpv4Mapped,
} from './addresses.js'

interface Prefix {
  readonly version: IpFamily
  readonly network: bigint
  readonly length: number
}

/** An address, or an address and the length of its prefix, as `ADDRESS/LENGTH` in the spelling of nft. */
export function parsePrefix(text: string): string {
  return formatPrefix(readPrefix(text))
}

function readPrefix(text: string): Prefix {
  const [, address = '', lengthText] = /^([^/]*)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? []
  const version = parseFamily(address)
  if (version === undefined) throw unexpected('an address or a prefix such as 192.0.2.0/24', text)
  const length = Number(lengthText ?? bitsOf(version))
  if (length > bitsOf(version)) {
    throw unexpected(`a prefix length of at most ${bitsOf(version)} for IPv${version}`, text)
  }
  const value = addressToNumber(version, address)
  refuseIpv4Mapped(version, value, length, text)
  const network = value & ~hostBits(version, length)
  if (network !== value) {
    const prefix = formatPrefix({ version, network, length })
    throw new ValueError(
      `${quote(text)} is not a prefix: it has bits set after the first ${length}`,
      `the prefix is ${prefix}, the single address ${address}`,
    )
  }
  return { version, network, length }
}

const formatPrefix = ({ version, network, length }: Prefix) => `${formatAddress(version, network)}/${length}`

/** The parts of what is known to be a prefix, or an address, which is the prefix of itself alone. */
export function splitPrefix(text: string): { version: IpFamily; address: string; length: number } {
  const [address = '', length] = text.split('/')
  const version = familyOf(address)
  return { version, address, length: length === undefined ? bitsOf(version) : Number(length) }
}

/** Whether the prefix, as `splitPrefix` takes it, contains the address. */
export function prefixContains(prefix: string, address: string): boolean {
  const outer = splitPrefix(prefix)
  const number = (text: string) => addressToNumber(outer.version, text) & ~hostBits(outer.version, outer.length)
  return outer.version === familyOf(address) && number(outer.address) === number(address)
}

/** The mask of a prefix of this length: `255.255.255.0`. */
export const netmask = (version: IpFamily, length: number): string =>
  formatAddress(version, hostBits(version, 0) & ~hostBits(version, length))

/** The prefixes that no other one of them contains, IPv4 first and in ascending order. */
export function withoutContained(prefixes: readonly string[]): string[] {
  const kept: Prefix[] = []
  // Two prefixes are either apart or one inside the other; sorted like this, the container is the one kept last.
  for (const prefix of prefixes.map(readPrefix).sort(byPlace)) {
    const last = kept.at(-1)
    if (!last || !contains(last, prefix)) kept.push(prefix)
  }
  return kept.map(formatPrefix)
}

function byPlace(a: Prefix, b: Prefix): number {
  if (a.version !== b.version) return a.version - b.version
  if (a.network !== b.network) return a.network < b.network ? -1 : 1
  return a.length - b.length
}

const contains = (outer: Prefix, inner: Prefix) =>
  outer.version === inner.version &&
  outer.length <= inner.length &&
  (inner.network & ~hostBits(outer.version, outer.length)) === outer.network
