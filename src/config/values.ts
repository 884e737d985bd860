/** Values of the configuration and of flags: from the text people write to the value used. */
import * as path from 'node:path'
import type { Rate as PacketRate } from '../nft/index.js'
import { oneLine, parseDuration, unexpected, ValueError } from '../util/index.js'
import type { KnockRate } from './credentials/types.js'

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

/** A path from the root, in its shortest form. */
export function parseAbsolutePath(text: string): string {
  if (!path.isAbsolute(text) || oneLine(text) !== text) throw unexpected('an absolute path', text)
  return path.normalize(text)
}

/** Levels of the kernel's log, numbered from 0 as syslog numbers them. */
export const kernelLogLevels = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'] as const
