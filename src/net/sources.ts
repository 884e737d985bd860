/** Addresses that packets come from. */
import { quote, ValueError } from '../util/index.js'
import type { IpFamily } from './addresses.js'
import { bitsOf, parseAddress } from './addresses.js'
import { parsePrefix, prefixContains, splitPrefix } from './prefixes.js'

const whole = 'a grant is for one address; pkctl init with --allow 0.0.0.0/0,::/0 gives all sources access'
const group = 'no packet comes from it; give the address of one host'

const never: readonly (readonly [prefix: string, what: string, hint: string])[] = [
  ['0.0.0.0/32', 'the unspecified address', whole],
  ['::/128', 'the unspecified address', whole],
  ['255.255.255.255/32', 'the broadcast address', group],
  ['224.0.0.0/4', 'a multicast address', group],
  ['ff00::/8', 'a multicast address', group],
]

/** Each link has these addresses of its own: without an interface, they name no machine. */
const onLink = ['169.254.0.0/16', 'fe80::/10'] as const

export const isLinkLocal = (address: string): boolean => onLink.some(prefix => prefixContains(prefix, address))

/** One address that packets can come from, in the spelling of nft. */
export function parseSource(text: string): { version: IpFamily; address: string } {
  const parsed = parseAddress(text)
  refuseNever(text, parsed.address)
  return parsed
}

/**
 * What is granted access: one address that packets can come from, or a prefix, as `ADDRESS/LENGTH`, if its service grants
 * such. In the spelling of nft.
 */
export function parseGranted(text: string): { version: IpFamily; source: string } {
  if (!text.includes('/')) {
    const { version, address } = parseSource(text)
    return { version, source: address }
  }
  const prefix = parsePrefix(text)
  const { version, address, length } = splitPrefix(prefix)
  if (length === 0) throw new ValueError(`${quote(text)} is every address`, whole)
  refuseNever(text, address)
  return { version, source: length === bitsOf(version) ? address : prefix }
}

function refuseNever(text: string, address: string): void {
  for (const [prefix, what, hint] of never) {
    if (prefixContains(prefix, address)) throw new ValueError(`${quote(text)} is ${what}`, hint)
  }
}
