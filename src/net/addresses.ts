/** IPv4 and IPv6 addresses: parse, mask, print in the spelling of nft. */
import { isIP, SocketAddress } from 'node:net'
import { quote } from '../util/text.js'
import { unexpected, ValueError } from '../util/value-error.js'

export type IpFamily = 4 | 6

/** The length of an address in bits. */
export const bitsOf = (version: IpFamily) => (version === 4 ? 32 : 128)
/** The bits of an address that lie below a prefix of this length. */
export const hostBits = (version: IpFamily, length: number) => (1n << BigInt(bitsOf(version) - length)) - 1n

/** One address, in the spelling of nft. */
export function parseAddress(text: string): { version: IpFamily; address: string } {
  const version = versionOf(text)
  if (version === undefined) throw unexpected('an IPv4 or IPv6 address', text)
  const value = addressToNumber(version, text)
  refuseIpv4Mapped(version, value, 128, text)
  return { version, address: formatAddress(version, value) }
}

/** The 4 or 16 bytes of an address, as latin1. */
export function addressBytes(text: string): string {
  const version = versionOf(text)
  if (version === undefined) throw unexpected('an IPv4 or IPv6 address', text)
  const hex = addressToNumber(version, text).toString(16)
  return Buffer.from(hex.padStart(bitsOf(version) / 4, '0'), 'hex').toString('latin1')
}

/** The address with all bits after the first `length` cleared. */
export function maskAddress(text: string, length: number): string {
  const version = versionOf(text)
  if (version === undefined) throw unexpected('an IPv4 or IPv6 address', text)
  return formatAddress(version, addressToNumber(version, text) & ~hostBits(version, length))
}

/** Undefined for what is no address; a zone such as %eth0 passes isIP and means nothing to a set of the kernel. */
export function versionOf(text: string): IpFamily | undefined {
  const version = text.includes('%') ? 0 : isIP(text)
  return version === 4 || version === 6 ? version : undefined
}

/** The kernel never sees such a source: what it was meant for comes as IPv4. */
export function refuseIpv4Mapped(version: IpFamily, value: bigint, length: number, text: string): void {
  if (version === 4 || value >> 32n !== 0xffffn) return
  const ipv4 = formatAddress(4, value & 0xffffffffn)
  const hint = length === 128 ? `write ${ipv4}` : `write ${ipv4}/${Math.max(0, length - 96)}`
  throw new ValueError(`${quote(text)} is an IPv4 address written as IPv6`, hint)
}

export function addressToNumber(version: IpFamily, address: string): bigint {
  if (version === 4) return joinGroups(address.split('.').map(Number), 8)
  // A dotted tail is two groups.
  const groups = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number)
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
  const [head = [], tail = []] = groups.split('::').map(half => (half === '' ? [] : half.split(':')))
  const zeros = Array<string>(8 - head.length - tail.length).fill('0')
  return joinGroups(
    [...head, ...zeros, ...tail].map(group => parseInt(group, 16)),
    16,
  )
}

const joinGroups = (groups: readonly number[], width: number) =>
  groups.reduce((value, group) => (value << BigInt(width)) | BigInt(group), 0n)

export function formatAddress(version: IpFamily, value: bigint): string {
  const [count, width, radix, separator] = version === 4 ? ([4, 8, 10, '.'] as const) : ([8, 16, 16, ':'] as const)
  const groups = Array.from({ length: count }, (_, i) => {
    return ((value >> BigInt(width * (count - 1 - i))) & ((1n << BigInt(width)) - 1n)).toString(radix)
  })
  // Node writes IPv6 addresses with inet_ntop's algorithm, as nft does: RFC 5952, also where it says "may".
  return new SocketAddress({ address: groups.join(separator), family: version === 4 ? 'ipv4' : 'ipv6' }).address
}
