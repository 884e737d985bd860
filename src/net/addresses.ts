/** IPv4 and IPv6 addresses: parse, mask, print in the spelling of nft. */
import { isIP } from 'node:net'
import { quote, unexpected, ValueError } from '../util/index.js'

export type IpFamily = 4 | 6

export const ipFamilies = [4, 6] as const

/** The length of an address in bits. */
export const bitsOf = (version: IpFamily): 32 | 128 => (version === 4 ? 32 : 128)
/** The bits of an address that lie below a prefix of this length. */
export const hostBits = (version: IpFamily, length: number) => (1n << BigInt(bitsOf(version) - length)) - 1n

/** The family of what is known to be an address or a prefix. */
export const familyOf = (text: string): IpFamily => (text.includes(':') ? 6 : 4)

/** A host as it stands before a port: an IPv6 address in brackets, everything else as it is. */
export const hostBeforePort = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** One address, in the spelling of nft. */
export function parseAddress(text: string): { version: IpFamily; address: string } {
  const { version, value } = readAddress(text)
  refuseIpv4Mapped(version, value, 128, text)
  return { version, address: formatAddress(version, value) }
}

/** The 4 or 16 bytes of an address, as latin1. */
export function addressBytes(text: string): string {
  const { version, value } = readAddress(text)
  return bytesOf(version, value).toString('latin1')
}

/** The address with all bits after the first `length` cleared. */
export function maskAddress(text: string, length: number): string {
  const version = requireFamily(text)
  // Most addresses are whole ones of IPv4, of which no second spelling is read.
  if (version === 4 && length === bitsOf(4)) return text
  return formatAddress(version, addressToNumber(version, text) & ~hostBits(version, length))
}

/** The address in the spelling of nft: one spelling for each address. */
export const canonicalAddress = (text: string): string => maskAddress(text, bitsOf(familyOf(text)))

function readAddress(text: string): { version: IpFamily; value: bigint } {
  const version = requireFamily(text)
  return { version, value: addressToNumber(version, text) }
}

function requireFamily(text: string): IpFamily {
  const version = parseFamily(text)
  if (version === undefined) throw unexpected('an IPv4 or IPv6 address', text)
  return version
}

/** Undefined for what is no address; a zone such as %eth0 passes isIP and means nothing to a set of the kernel. */
export function parseFamily(text: string): IpFamily | undefined {
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

export const formatAddress = (version: IpFamily, value: bigint): string =>
  addressFromBytes(bytesOf(version, value), 0, version)

const bytesOf = (version: IpFamily, value: bigint) =>
  Buffer.from(value.toString(16).padStart(bitsOf(version) / 4, '0'), 'hex')

/**
 * The address of 4 or 16 bytes at `at`. IPv6 is printed as inet_ntop(3) does it, and nft with it: RFC 5952, and with a
 * dotted tail where the address contains one of IPv4.
 */
export function addressFromBytes(buffer: Buffer, at: number, version: IpFamily): string {
  if (version === 4) return dotted(buffer, at)
  const groups = Array.from({ length: 8 }, (_, i) => buffer.readUInt16BE(at + 2 * i))
  let best = { start: -1, length: 1 }
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && groups[i + length] === 0) length++
    if (length > best.length) best = { start: i, length }
  }
  const hex = (part: number[]) => part.map(group => group.toString(16)).join(':')
  if (best.start < 0) return hex(groups)
  if (best.start === 0 && best.length === 6) return `::${dotted(buffer, at + 12)}`
  if (best.start === 0 && best.length === 5 && groups[5] === 0xffff) return `::ffff:${dotted(buffer, at + 12)}`
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`
}

const dotted = (buffer: Buffer, at: number) => buffer.subarray(at, at + 4).join('.')
