/** Periods of 30 seconds, counted from the Unix epoch: a packet begins with a prefix that only its period has. */
import type { FilterKeys } from './identity.js'

export const periodSeconds = 30
const periodMilliseconds = 30_000n

export const prefixLength = 8

/** Of a time in Unix milliseconds. */
export const periodOf = (milliseconds: bigint): bigint => milliseconds / periodMilliseconds

/** Unix milliseconds of a time in seconds, exact where the seconds are. */
export const millisecondsOf = (seconds: number): bigint =>
  BigInt(Math.floor(seconds)) * 1000n + BigInt(Math.floor((seconds % 1) * 1000))

/** Of any time in Unix seconds that a packet can have. */
export const periodAt = (seconds: number): bigint => periodOf(millisecondsOf(seconds))

const periodLength = 8

/** As 8 bytes, big-endian. */
export function periodBytes(period: bigint): Buffer {
  const bytes = Buffer.alloc(periodLength)
  bytes.writeBigUInt64BE(period)
  return bytes
}

export const packetPrefix = (keys: FilterKeys, period: bigint): Buffer =>
  Buffer.from(keys.prefix.digest(periodBytes(period), 0, periodLength), 'latin1').subarray(0, prefixLength)
