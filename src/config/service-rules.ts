/**
 * The options of a service: their bounds and defaults, which of them exclude each other, and the service that they make.
 * Flags and the configuration file both come here, each with messages of its own. Loads no library: commands that change
 * services must start fast.
 */
import type { PortRange } from '../net/index.js'
import { withoutCovered } from '../net/index.js'
import type { Hook, LogRule, ServiceProtocol, LimitRate, ServiceSpec } from '../nft/index.js'
import { defaultWindowSeconds } from '../nft/index.js'
import { parseDuration, unexpected } from '../util/index.js'
import { parsePacketRate } from './values.js'

/** The least and the greatest number that an option takes. */
export const serviceBounds = {
  /** Seconds, also for the window of a credential and the timeout of a sequence. */
  window: [1, 31_536_000],
  prefix4: [8, 32],
  prefix6: [16, 128],
  logBurst: [1, 1_000_000],
} as const satisfies Record<string, readonly [number, number]>

export const maxWindowSeconds = serviceBounds.window[1]

/** How long a grant lasts. */
export function parseWindow(value: string | number): number {
  const seconds = parseDuration(value)
  if (seconds < serviceBounds.window[0] || seconds > maxWindowSeconds) throw unexpected('a time from 1s to 365d', value)
  return seconds
}

export const rejections = ['drop', 'reset', 'icmp'] as const
export type Rejection = (typeof rejections)[number]

/** The values of options that are not given. Whether `syn` is given differs: see flags and schema. */
export const serviceDefaults = {
  protocol: 'tcp',
  window: defaultWindowSeconds,
  prefix4: 32,
  prefix6: 128,
  hook: 'input',
  reject: 'drop',
  logLevel: 'info',
  logLimit: '5/minute',
  logBurst: 5,
} as const

/** nft prints a prefix between quotes and has no escapes in them: a listing with one of these does not load again. */
export const isLogPrefix = (text: string): boolean => /^[\x20-\x7e]{0,63}$/.test(text) && !/["\\]/.test(text)

/** An option that the others exclude. */
export interface Conflict {
  readonly option: 'syn' | 'reject'
  readonly reason: 'syn-needs-tcp' | 'reset-needs-tcp' | 'accept-excludes-reject'
}

/** What contradicts what; values that are no values of their option contradict nothing. */
export function conflictsOf(given: {
  readonly protocol?: unknown
  readonly syn?: unknown
  readonly reject?: unknown
  readonly accept?: unknown
}): Conflict[] {
  const { protocol = serviceDefaults.protocol, syn, reject, accept } = given
  const conflicts: Conflict[] = []
  if (syn === true && (protocol === 'udp' || protocol === 'sctp' || protocol === 'any')) {
    conflicts.push({ option: 'syn', reason: 'syn-needs-tcp' })
  }
  if (reject === 'reset' && (protocol === 'udp' || protocol === 'sctp')) {
    conflicts.push({ option: 'reject', reason: 'reset-needs-tcp' })
  }
  if (accept === true && reject !== undefined) conflicts.push({ option: 'reject', reason: 'accept-excludes-reject' })
  return conflicts
}

/** Options with valid values; undefined = not given. */
interface ServiceOptions {
  readonly ports: readonly PortRange[]
  readonly protocol: ServiceProtocol
  readonly syn: boolean
  readonly accept: boolean
  readonly reject?: Rejection | undefined
  readonly window: number
  readonly singleUse: boolean
  readonly failOpen: boolean
  readonly allow: readonly string[]
  readonly prefix4: number
  readonly prefix6: number
  readonly hook: Hook
  readonly interfaces: readonly string[]
  /** Null = no log. */
  readonly log: LogOptions | null
}

interface LogOptions {
  readonly prefix?: string | undefined
  readonly level?: string | undefined
  /** Null = no limit. */
  readonly limit?: LimitRate | null | undefined
  readonly burst?: number | undefined
}

/** The service that options without conflicts make. */
export function serviceFrom(
  name: string,
  { accept, reject, interfaces, log, ...options }: ServiceOptions,
): ServiceSpec {
  return {
    name,
    ...options,
    interfaces: withoutCovered(interfaces),
    closing: accept ? 'accept' : (reject ?? serviceDefaults.reject),
    log: log && logRuleFrom(name, log),
  }
}

function logRuleFrom(name: string, { prefix, level, limit, burst }: LogOptions): LogRule {
  const rate = limit === undefined ? parsePacketRate(serviceDefaults.logLimit) : limit
  return {
    prefix: prefix ?? `pk-${name} `,
    level: level ?? serviceDefaults.logLevel,
    rate,
    // The kernel keeps a burst only with a limit.
    burst: rate ? (burst ?? serviceDefaults.logBurst) : 0,
  }
}
