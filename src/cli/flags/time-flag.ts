/** Times on the command line. */
import { parseDuration, usageError } from '../../util/index.js'

/** Unix seconds: of a time such as 2030-01-01T12:00:00Z, or of a number of seconds. */
export function parseTimeFlag(flag: string, text: string): number {
  const seconds = /^\d+$/.test(text) ? Number(text) : Date.parse(text) / 1000
  if (!Number.isFinite(seconds)) throw usageError(`${flag} takes a time such as 2030-01-01T12:00:00Z, not '${text}'`)
  return seconds
}

/** Unix seconds: of a time, or of as long ago as a duration such as 30m. */
export function parseTimeAgo(flag: string, text: string, now: number): number {
  if (/^\d+$/.test(text) || !/^[\dsmhd]+$/.test(text)) return parseTimeFlag(flag, text)
  return now - parseDuration(text)
}

const timeOfDay = /^([01]?\d|2[0-3]):([0-5]\d)$/
const fullTime = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?$/

/** Whole seconds from `now` until a time of day, the next one of local time, or until a full time, which is local, too, without a zone. */
export function secondsUntil(flag: string, text: string, now: Date): number {
  const [, hours, minutes] = timeOfDay.exec(text) ?? []
  let until: Date
  if (hours !== undefined) {
    until = new Date(now)
    until.setHours(Number(hours), Number(minutes), 0, 0)
    if (until <= now) until.setDate(until.getDate() + 1)
  } else until = new Date(fullTime.test(text) ? text.replace(' ', 'T') : NaN)
  if (Number.isNaN(until.getTime())) {
    throw usageError(`${flag} takes a time such as 18:00, 2030-01-31T18:00 or 2030-01-31T18:00Z, not '${text}'`)
  }
  if (until <= now) throw usageError(`${flag} is over: ${until.toISOString().replace('.000Z', 'Z')}`)
  return Math.ceil((until.getTime() - now.getTime()) / 1000)
}
