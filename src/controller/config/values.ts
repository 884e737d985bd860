/** Values as people write them, in the configuration and on the command line: pure functions from text to value. */
import { isIP, SocketAddress } from 'node:net'
import * as path from 'node:path'
import type { Rate as PacketRate } from '../../nft/json.js'
import type { PortRange } from '../../nft/service.js'
import type { KnockRate } from './types.js'

/** A value that cannot be one. The message has one line and is for the person who wrote the value. */
export class ValueError extends Error {
  override readonly name = 'ValueError'
  constructor(
    message: string,
    readonly hint?: string | undefined,
  ) {
    super(message)
  }
}

/** Names of services and credentials: what a name of a chain can hold and a shell leaves alone. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/
export const nameRule = "letters, digits, '-' and '_', starting with a letter or digit, at most 40 characters"

export const maxWindowSeconds = 31_536_000
export const maxSkewSeconds = 86_400
const maxShownLength = 60

/** `text` in quotes, on one line whatever it holds, and cut when long. */
export function quote(text: string): string {
  const cut = text.length > maxShownLength ? `${text.slice(0, maxShownLength)}…` : text
  return `'${oneLine(cut)}'`
}

/** `text` without anything that could break a line or steer a terminal. */
export function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are the point
  return text.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, character => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** A value of the configuration, as a message shows it. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'empty text' : quote(value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return kindOf(value)
}

/** What sort of value it is, for messages that must not show a secret. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  return typeof value === 'string' ? 'text' : `a ${typeof value}`
}

const unexpected = (what: string, value: unknown) => new ValueError(`expected ${what}, got ${shown(value)}`)

// Durations and rates

const secondsPerUnit: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }

/** Seconds: `30`, `30s`, `10m`, `8h` or `2d`. */
export function parseDuration(value: string | number): number {
  const [, digits, unit = ''] = /^(\d{1,10})([smhd]?)$/.exec(String(value)) ?? []
  if (digits === undefined) throw unexpected('seconds, or a duration such as 30s, 10m, 8h or 2d', value)
  return Number(digits) * (secondsPerUnit[unit] ?? 1)
}

/** How long a grant lasts. */
export function parseWindow(value: string | number): number {
  const seconds = parseDuration(value)
  if (seconds < 1 || seconds > maxWindowSeconds) throw unexpected('a time from 1s to 365d', value)
  return seconds
}

/** The tolerated clock difference; -1 accepts any clock. */
export function parseSkew(value: string | number): number {
  if (String(value) === '-1') return -1
  if (String(value).startsWith('-')) throw unexpected('a time from 0 to 1d, or -1 for any clock', value)
  const seconds = parseDuration(value)
  if (seconds > maxSkewSeconds) throw unexpected('a time from 0 to 1d, or -1 for any clock', value)
  return seconds
}

/** `5/10s`, `1/second`, `20/minute`, `100/hour`; null for `none`. */
export function parseRate(text: string): KnockRate | null {
  if (text === 'none') return null
  const [, count, per = ''] = /^(\d{1,5})\/(second|minute|hour|\d{1,5}[smhd])$/.exec(text) ?? []
  const seconds = /^\d/.test(per) ? parseDuration(per) : ({ second: 1, minute: 60, hour: 3600 }[per] ?? 0)
  if (Number(count) >= 1 && Number(count) <= 10_000 && seconds >= 1 && seconds <= 86_400) {
    return { count: Number(count), seconds }
  }
  throw unexpected('a rate such as 5/10s or 20/minute, or none', text)
}

/** `5/minute` as nft has it, for log messages; null for `none`. */
export function parsePacketRate(text: string): PacketRate | null {
  if (text === 'none') return null
  const [, count, unit] = /^([1-9]\d{0,5})\/(second|minute|hour|day|week)$/.exec(text) ?? []
  if (count === undefined) throw unexpected('a rate such as 5/minute, or none', text)
  return { count: Number(count), unit: unit as PacketRate['unit'] }
}

// Ports

const maxPort = 65_535
const isPort = (port: number) => port >= 1 && port <= maxPort

/** One port, for which 0 and ranges are errors. */
export function parsePort(value: string | number): number {
  if (!/^\d{1,5}$/.test(String(value)) || !isPort(Number(value))) {
    throw unexpected(`a port from 1 to ${maxPort}`, value)
  }
  return Number(value)
}

/** `22`, `6000-6010`, or several with commas between them; merged and in ascending order. */
export function parsePorts(value: string | number): PortRange[] {
  return mergePorts(
    String(value)
      .split(',')
      .map(part => parsePortRange(typeof value === 'number' ? value : part.trim())),
  )
}

function parsePortRange(value: string | number): PortRange {
  const [, first, last] = /^(\d{1,5})\s*-\s*(\d{1,5})$/.exec(String(value)) ?? []
  if (first === undefined || last === undefined) {
    const port = parsePort(value)
    return { first: port, last: port }
  }
  const range = { first: Number(first), last: Number(last) }
  if (!isPort(range.first) || !isPort(range.last)) throw unexpected(`a range of ports from 1 to ${maxPort}`, value)
  if (range.first > range.last) throw unexpected('a range with the lower port first', value)
  return range
}

/** Ascending, with ranges that overlap or touch made one. */
export function mergePorts(ranges: readonly PortRange[]): PortRange[] {
  const merged: { first: number; last: number }[] = []
  for (const { first, last } of [...ranges].sort((a, b) => a.first - b.first)) {
    const before = merged.at(-1)
    if (before && first <= before.last + 1) before.last = Math.max(before.last, last)
    else merged.push({ first, last })
  }
  return merged
}

/** The ports of `ranges` without those of `taken`; both merged, as `mergePorts` gives them. */
export function subtractPorts(ranges: readonly PortRange[], taken: readonly PortRange[]): PortRange[] {
  return taken.reduce<readonly PortRange[]>(
    (left, { first, last }) =>
      left.flatMap(range => {
        const below = { first: range.first, last: Math.min(range.last, first - 1) }
        const above = { first: Math.max(range.first, last + 1), last: range.last }
        return [below, above].filter(part => part.first <= part.last)
      }),
    ranges,
  ) as PortRange[]
}

// Addresses

interface Prefix {
  readonly version: 4 | 6
  readonly network: bigint
  readonly length: number
}

const bitsOf = (version: 4 | 6) => (version === 4 ? 32 : 128)
/** The bits of an address that lie below a prefix of this length. */
const hostBits = (version: 4 | 6, length: number) => (1n << BigInt(bitsOf(version) - length)) - 1n

/** An address, or an address and the length of its prefix, as `ADDRESS/LENGTH` in the spelling of nft. */
export function parsePrefix(text: string): string {
  return formatPrefix(readPrefix(text))
}

/** One address, in the spelling of nft. */
export function parseAddress(text: string): { version: 4 | 6; address: string } {
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
function versionOf(text: string): 4 | 6 | undefined {
  const version = text.includes('%') ? 0 : isIP(text)
  return version === 4 || version === 6 ? version : undefined
}

/** The kernel never sees such a source: what it was meant for comes as IPv4. */
function refuseIpv4Mapped(version: 4 | 6, value: bigint, length: number, text: string): void {
  if (version === 4 || value >> 32n !== 0xffffn) return
  const ipv4 = formatAddress(4, value & 0xffffffffn)
  const hint = length === 128 ? `write ${ipv4}` : `write ${ipv4}/${Math.max(0, length - 96)}`
  throw new ValueError(`${quote(text)} is an IPv4 address written as IPv6`, hint)
}

function readPrefix(text: string): Prefix {
  const [, address = '', lengthText] = /^([^/]*)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? []
  const version = versionOf(address)
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

function addressToNumber(version: 4 | 6, address: string): bigint {
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

const formatPrefix = ({ version, network, length }: Prefix) => `${formatAddress(version, network)}/${length}`

function formatAddress(version: 4 | 6, value: bigint): string {
  const [count, width, radix, separator] = version === 4 ? ([4, 8, 10, '.'] as const) : ([8, 16, 16, ':'] as const)
  const groups = Array.from({ length: count }, (_, i) => {
    return ((value >> BigInt(width * (count - 1 - i))) & ((1n << BigInt(width)) - 1n)).toString(radix)
  })
  // Node writes IPv6 addresses with inet_ntop's algorithm, as nft does: RFC 5952, also where it says "may".
  return new SocketAddress({ address: groups.join(separator), family: version === 4 ? 'ipv4' : 'ipv6' }).address
}

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

// Others

/** Firewall mark bits that pkctl may use: one run of at least 8 of the 32. */
export function parseMask(value: string | number): number {
  const what = 'a mask of 8 to 32 adjacent bits such as 0xffff0000'
  if (!/^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(String(value))) throw unexpected(what, value)
  const mask = Number(value)
  const bits = mask <= 0xffffffff ? mask.toString(2) : ''
  if (!/^1{8,}0*$/.test(bits)) throw new ValueError(`expected ${what}, got 0x${mask.toString(16)}`)
  return mask
}

/** A path from the root, in its shortest form. */
export function parseAbsolutePath(text: string): string {
  if (!path.isAbsolute(text) || oneLine(text) !== text) throw unexpected('an absolute path', text)
  return path.normalize(text)
}
