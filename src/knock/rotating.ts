/**
 * Sequences that change with the hour, as nfqknockd makes them: digest = H(secret ‖ decimal Unix time of the start of
 * the hour), taken two bytes at a time, big-endian; port = number % (last - first) + first, so that the last port of
 * the range never occurs. md5 gives 8 ports, sha256 16, sha384 24, sha512 32.
 */
import { createHash } from 'node:crypto'
import { protocolTcp } from '../net/index.js'
import type { Step } from './step.js'

export const digests = ['md5', 'sha256', 'sha384', 'sha512'] as const
export type Digest = (typeof digests)[number]

/** nfqknockd takes the local hour, which begins elsewhere than UTC's where a zone is not whole hours away. */
export const hourKinds = ['utc', 'local'] as const
export type HourKind = (typeof hourKinds)[number]

export interface RotatingSequence {
  readonly secret: string
  readonly digest: Digest
  /** The range of ports; `first` is below `last`. */
  readonly first: number
  readonly last: number
}

const hourSeconds = 3600

/** The sequence of the hour that starts at `hourStart`, in Unix seconds. */
export function rotatingSteps({ secret, digest, first, last }: RotatingSequence, hourStart: number): Step[] {
  const bytes = createHash(digest).update(`${secret}${hourStart}`).digest()
  return Array.from({ length: bytes.length / 2 }, (_, i) => ({
    port: (bytes.readUInt16BE(i * 2) % (last - first)) + first,
    protocol: protocolTcp,
  }))
}

/** When the hour began in which `now` is; both Unix seconds. */
export function startOfHour(now: number, kind: HourKind): number {
  const whole = Math.floor(now)
  if (kind === 'utc') return whole - (((whole % hourSeconds) + hourSeconds) % hourSeconds)
  const date = new Date(whole * 1000)
  return whole - (date.getMinutes() * 60 + date.getSeconds())
}

/** The starts of the hours whose sequences count at `now`: this one, and within `graceSeconds` the neighbour. */
export function currentHours(now: number, kind: HourKind, graceSeconds: number): number[] {
  const hours = [now, now - graceSeconds, now + graceSeconds].map(time => startOfHour(time, kind))
  return [...new Set(hours)]
}

/** The next moment, in Unix seconds, at which `currentHours` gives others. */
export function nextTurn(now: number, kind: HourKind, graceSeconds: number): number {
  const start = startOfHour(now, kind)
  const turns = [start, start + hourSeconds].flatMap(hour => [hour - graceSeconds, hour, hour + graceSeconds + 1])
  return Math.min(...turns.filter(turn => turn > now))
}
