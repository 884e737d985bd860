import { unexpected } from './value-error.js'

const secondsPerUnit: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }

/** Seconds: `30`, `30s`, `10m`, `8h` or `2d`. */
export function parseDuration(value: string | number): number {
  const [, digits, unit = ''] = /^(\d{1,10})([smhd]?)$/.exec(String(value)) ?? []
  if (digits === undefined) throw unexpected('seconds, or a duration such as 30s, 10m, 8h or 2d', value)
  return Number(digits) * (secondsPerUnit[unit] ?? 1)
}
