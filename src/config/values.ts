/** Values of the configuration and of flags: from the text people write to the value used. */
import * as path from 'node:path'
import type { LimitRate as PacketRate } from '../nft/index.js'
import { oneLine, parseDuration, unexpected, ValueError } from '../util/index.js'
import type { KnockRate } from './credentials/any-credential.js'

/** Names of services and credentials: what a name of a chain can hold and a shell leaves alone. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/
export const nameRule = "letters, digits, '-' and '_', starting with a letter or digit, at most 40 characters"

export const maxSkewSeconds = 86_400

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

/** Firewall mark bits that pkctl may use: one run of at least 8 of the 32. */
export function parseMask(value: string | number): number {
  const what = 'a mask of 8 to 32 adjacent bits such as 0xffff0000'
  if (!/^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(String(value))) throw unexpected(what, value)
  const mask = Number(value)
  const bits = mask <= 0xffffffff ? mask.toString(2) : ''
  if (!/^1{8,}0*$/.test(bits)) throw new ValueError(`expected ${what}, got 0x${mask.toString(16)}`)
  return mask
}

/** A key of `most` bytes at most: text, hex after `0x`, or base64 after `base64:`. Messages do not show it. */
export function parseFwknopKey(text: string, most: number): Buffer {
  const bytes = keyBytes(text)
  if (bytes.length === 0) throw new ValueError('the key is empty')
  if (bytes.length > most) throw new ValueError(`the key is ${bytes.length} bytes long, at most ${most} are possible`)
  return bytes
}

function keyBytes(text: string): Buffer {
  const [, hex] = /^0x(.*)$/is.exec(text) ?? []
  if (hex !== undefined) {
    if (/^([0-9a-f]{2})+$/i.test(hex)) return Buffer.from(hex, 'hex')
    throw new ValueError('the key starts with 0x and is not hex after it')
  }
  const [, base64] = /^base64:(.*)$/s.exec(text) ?? []
  if (base64 === undefined) return Buffer.from(text, 'utf8')
  const bytes = Buffer.from(base64, 'base64')
  const isSame = [bytes.toString('base64'), bytes.toString('base64').replace(/=+$/, '')].includes(base64)
  if (!isSame) throw new ValueError('the key starts with base64: and is not base64 after it')
  return bytes
}

/** A date, whose day it begins, or a second of it: Unix seconds. */
export function parseInstant(text: string): number {
  const what = 'a date such as 2027-01-31 or 2027-01-31T18:00:00Z'
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$/.test(text)) throw unexpected(what, text)
  const milliseconds = Date.parse(text)
  // 31 February is taken for a day of March.
  const isSame = !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString().startsWith(text.replace('Z', ''))
  if (!isSame) throw unexpected(what, text)
  return milliseconds / 1000
}

/** A path from the root, in its shortest form. */
export function parseAbsolutePath(text: string): string {
  if (!path.isAbsolute(text) || oneLine(text) !== text) throw unexpected('an absolute path', text)
  return path.normalize(text)
}

// A socket's address has 108 bytes, the last one a zero.
const maxSocketBytes = 107

/** The path of a Unix socket. `reserved`: bytes that another socket has at its end. */
export function parseSocketPath(text: string, reserved = 0): string {
  const [bytes, most] = [Buffer.byteLength(text), maxSocketBytes - reserved]
  if (bytes > most)
    throw new ValueError(`expected a path of at most ${most} bytes, the longest path of a socket, got ${bytes}`)
  return parseAbsolutePath(text)
}

/** Levels of the kernel's log, numbered from 0 as syslog numbers them. */
export const kernelLogLevels = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'] as const
