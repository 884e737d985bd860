/** Whether a value from a file is a service. Files in the state directory may be damaged, and are not written by root alone. */
import { isLogPrefix, serviceBounds } from '../../config/service-rules.js'
import { kernelLogLevels, namePattern } from '../../config/values.js'
import { parsePrefix } from '../../net/index.js'
import type { ServiceSpec } from '../../nft/index.js'
import { closings, hooks, protocols } from '../../nft/index.js'

const isWhole = (value: unknown, min: number, max: number) =>
  typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
const isOneOf = (value: unknown, known: readonly string[]) => typeof value === 'string' && known.includes(value)
const fieldsOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

function isPrefix(value: unknown): boolean {
  try {
    return typeof value === 'string' && parsePrefix(value) !== ''
  } catch {
    return false
  }
}

export function isService(value: unknown): value is ServiceSpec {
  const { name, protocol, ports, syn, closing, window, singleUse, failOpen, allow, prefix4, prefix6, hook, log } =
    fieldsOf(value)
  return (
    typeof name === 'string' &&
    namePattern.test(name) &&
    isOneOf(protocol, protocols) &&
    Array.isArray(ports) &&
    ports.length > 0 &&
    ports.every(isRange) &&
    [syn, singleUse, failOpen].every(flag => typeof flag === 'boolean') &&
    isOneOf(closing, closings) &&
    isWhole(window, ...serviceBounds.window) &&
    Array.isArray(allow) &&
    allow.every(isPrefix) &&
    isWhole(prefix4, ...serviceBounds.prefix4) &&
    isWhole(prefix6, ...serviceBounds.prefix6) &&
    isOneOf(hook, hooks) &&
    (log === null || isLogRule(log))
  )
}

function isRange(value: unknown): boolean {
  const { first, last } = fieldsOf(value)
  return isWhole(first, 1, 65_535) && isWhole(last, first as number, 65_535)
}

function isLogRule(value: unknown): boolean {
  const { prefix, level, rate, burst } = fieldsOf(value)
  const { count, unit } = fieldsOf(rate)
  return (
    typeof prefix === 'string' &&
    isLogPrefix(prefix) &&
    isOneOf(level, kernelLogLevels) &&
    isWhole(burst, 0, 1_000_000) &&
    (rate === null || (isWhole(count, 1, 999_999) && isOneOf(unit, ['second', 'minute', 'hour', 'day', 'week'])))
  )
}
