/** Times of `expiry-time=`: `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, local, or with a `Z` after it in UTC. */
import { quote } from '../../util/index.js'
import { SshFormatError } from './ssh-format-error.js'

/** Unix seconds. Throws a SshFormatError. */
export function parseExpiryTime(text: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z|UTC)?$/i.exec(text)
  if (!match) throw notTime(text)
  const zone = match[7]
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map(digits => ((digits as string | undefined) === undefined ? 0 : Number(digits)))
  const fields = [year, month - 1, day, hour, minute, second] as const
  if (year < 1970 || hour > 23 || minute > 59 || second > 59 || !isDate(year, month, day)) throw notTime(text)
  const milliseconds = zone === undefined ? new Date(...fields).getTime() : Date.UTC(...fields)
  return milliseconds / 1000
}

function isDate(year: number, month: number, day: number): boolean {
  const date = new Date(Date.UTC(year, month - 1, day))
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day
}

const notTime = (text: string) =>
  new SshFormatError(`expiry-time=${quote(text)} is not a time such as 20271231 or 202712312359Z`)
