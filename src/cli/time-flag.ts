/** Times on the command line. */
import { parseDuration, usageError } from '../util/index.js'

/** Unix seconds: of a time such as 2030-01-01T12:00:00Z, or of a number of seconds. */
export function parseTime(flag: string, text: string): number {
  const seconds = /^\d+$/.test(text) ? Number(text) : Date.parse(text) / 1000
  if (!Number.isFinite(seconds)) throw usageError(`${flag} takes a time such as 2030-01-01T12:00:00Z, not '${text}'`)
  return seconds
}

/** Unix seconds: of a time, or of as long ago as a duration such as 30m. */
export function parseTimeAgo(flag: string, text: string, now: number): number {
  if (/^\d+$/.test(text) || !/^[\dsmhd]+$/.test(text)) return parseTime(flag, text)
  return now - parseDuration(text)
}
