/** Secrets that can be guessed or tried out. */

export const enoughBytes = 16
export const fewBytes = 8
/** 16 random bytes have 15 different ones, and 16 hex digits about 10. */
const enoughDifferent = 8

/** Few different bytes, a short word again and again, or one byte after the other as in 1234…. */
export function isPlain(bytes: Buffer): boolean {
  if (new Set(bytes).size < enoughDifferent) return true
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
