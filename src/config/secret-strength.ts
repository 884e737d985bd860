/** Secrets that can be guessed or tried out. */

export const enoughBytes = 16
export const fewBytes = 8
/** 16 random bytes have 15 different ones, and 16 hex digits about 10. */
const enoughDifferent = 8

/** Why a secret is easy to guess, whatever its length; undefined where it is not. */
export function whyPlain(bytes: Buffer): 'it has few different bytes' | 'its bytes follow a pattern' | undefined {
  if (new Set(bytes).size < enoughDifferent) return 'it has few different bytes'
  return hasPattern(bytes) ? 'its bytes follow a pattern' : undefined
}

export const isPlain = (bytes: Buffer): boolean => whyPlain(bytes) !== undefined

/** A short word again and again, or one byte after the other as in 1234…. */
function hasPattern(bytes: Buffer): boolean {
  const steps = [...bytes].slice(1).map((byte, i) => byte - (bytes[i] as number))
  if (new Set(steps).size <= 2) return true
  return [8, 9, 10, 11, 12, 13, 14, 15].some(
    period => bytes.every((byte, i) => i < period || byte === bytes[i - period]) && bytes.length > period * 1.5,
  )
}

/** A key as its formats pad it is the same key without the padding. */
export function withoutZeroBytes(key: Buffer): Buffer {
  let end = key.length
  while (end > 0 && key[end - 1] === 0) end--
  return key.subarray(0, end)
}
