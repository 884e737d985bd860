/** Windows of 30 seconds, counted from the Unix epoch: a packet begins with a prefix that only its window has. */
import type { FilterKeys } from './identity.js'

export const windowSeconds = 30
const windowMilliseconds = 30_000n

export const prefixLength = 8

/** Of a time in Unix milliseconds. */
export const windowOf = (milliseconds: bigint): bigint => milliseconds / windowMilliseconds

/** Unix milliseconds of a time in seconds, exact where the seconds are. */
export const millisecondsOf = (seconds: number): bigint =>
  BigInt(Math.floor(seconds)) * 1000n + BigInt(Math.floor((seconds % 1) * 1000))

/** Of any time in Unix seconds that a packet can have. */
export const windowAt = (seconds: number): bigint => windowOf(millisecondsOf(seconds))

const windowLength = 8

/** As 8 bytes, big-endian. */
export function windowBytes(window: bigint): Buffer {
  const bytes = Buffer.alloc(windowLength)
  bytes.writeBigUInt64BE(window)
  return bytes
}

export const prefixOf = (keys: FilterKeys, window: bigint): Buffer =>
  Buffer.from(keys.prefix.digest(windowBytes(window), 0, windowLength), 'latin1').subarray(0, prefixLength)
