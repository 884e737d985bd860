/** Durations as people write and read them. */
import { unexpected } from './value-error.js'

const pattern = /^(?:(\d{1,10})|(?:(\d{1,10})d)?(?:(\d{1,10})h)?(?:(\d{1,10})m)?(?:(\d{1,10})s)?)$/

/** Seconds: `30`, `30s`, `10m`, `8h`, `2d`, or several units from the largest to the smallest, as `1h30m`. */
export function parseDuration(value: string | number): number {
  const [text, plain = 0, days = 0, hours = 0, minutes = 0, seconds = 0] = pattern.exec(String(value)) ?? ['']
  if (text === '') throw unexpected('seconds, or a duration such as 30s, 10m, 8h, 1h30m or 2d', value)
  return Number(plain) + Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
}

const [minute, hour, day] = [60, 3600, 86_400] as const

/** Whole seconds as people say them, in one or two units: `90 s`, `12 min 5 s`, `47 h 20 min`, `3 d 4 h`. */
export function durationText(seconds: number): string {
  if (seconds < 2 * minute) return `${seconds} s`
  if (seconds < 2 * hour) return inUnits(seconds, [minute, 'min'], [1, 's'])
  if (seconds < 2 * day) return inUnits(seconds, [hour, 'h'], [minute, 'min'])
  return inUnits(seconds, [day, 'd'], [hour, 'h'])
}

type Unit = readonly [seconds: number, name: string]

function inUnits(seconds: number, [whole, name]: Unit, [part, partName]: Unit): string {
  const rest = Math.floor((seconds % whole) / part)
  return `${Math.floor(seconds / whole)} ${name}${rest === 0 ? '' : ` ${rest} ${partName}`}`
}

/** The same for what can be without end, which is null. */
export const timeText = (seconds: number | null): string =>
  seconds === null ? 'without a time limit' : `for ${durationText(seconds)}`
