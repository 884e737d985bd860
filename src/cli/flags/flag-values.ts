/** Values of flags and arguments that several commands take. */
import { namePattern, nameRule } from '../../config/values.js'
import { parseDuration, usageError } from '../../util/index.js'

export function checkServiceName(name: string): string {
  if (!namePattern.test(name)) throw usageError(`'${name}' cannot be the name of a service`, `use ${nameRule}`)
  return name
}

/** A flag that takes a whole number. */
export function parseCount(flag: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw usageError(`${flag} takes a number from ${least} to ${most}, not '${text}'`)
  }
  return value
}

const maxSeconds = 86_400

/** A flag that takes a time from 1 s to 1 d, in seconds. A timer of Node.js fires at once beyond 24 days. */
export function parseSeconds(flag: string, text: string): number {
  const seconds = parseDuration(text)
  if (seconds >= 1 && seconds <= maxSeconds) return seconds
  throw usageError(`${flag} takes a time from 1s to 1d, not '${text}'`)
}
