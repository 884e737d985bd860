import { unexpected } from './value-error.js'

const pattern = /^(?:(\d{1,10})|(?:(\d{1,10})d)?(?:(\d{1,10})h)?(?:(\d{1,10})m)?(?:(\d{1,10})s)?)$/

/** Seconds: `30`, `30s`, `10m`, `8h`, `2d`, or several units from the largest to the smallest, as `1h30m`. */
export function parseDuration(value: string | number): number {
  const [text, plain = 0, days = 0, hours = 0, minutes = 0, seconds = 0] = pattern.exec(String(value)) ?? ['']
  if (text === '') throw unexpected('seconds, or a duration such as 30s, 10m, 8h, 1h30m or 2d', value)
  return Number(plain) + Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
}
