/** Makes an input of another one: a few changes, each of which breaks what some readers rely on. */
import type { Random } from './random.js'

/** Longer inputs would take most of the time and find little. */
const maxLength = 128 * 1024

const oddNumbers = [
  ...['0', '-0', '-1', '1', '255', '256', '65535', '65536', '4294967295', '4294967296', '9007199254740993'],
  ...['1e999', '-1e999', '1e-7', '0x10', '017', '1_000', '1.5', 'NaN', 'Infinity', '99999999999999999999999999'],
]

const oddText = [
  ...['', '\0', '\n', '\r\n', '\t', ' ', '"', "'", '\\', '`', '$(x)', '#', ':', ': ', '- ', ',', '%', '*', '&', '!'],
  ...['[', ']', '{', '}', '(', ')', '<<', '|', '>', '~', 'null', 'true', '__proto__', 'constructor', 'prototype'],
  ...['toString', 'hasOwnProperty', '\ufeff', '\u2028', '\u202e', '\u0085', '\u001b[31m', 'ı', 'ﬀ', '😀', '\ud800'],
]
const oddBytes = [0, 1, 0x7f, 0x80, 0xfe, 0xff]

interface Parts {
  readonly pool: readonly Buffer[]
  readonly words: readonly string[]
}

/** One input, which the random numbers and the pool determine. */
export function makeInput(random: Random, { pool, words }: Parts): Buffer {
  let bytes = pool.length === 0 ? Buffer.alloc(0) : random.of(pool)
  // Now and then an input as it is, so that what is valid is read as well.
  const changes = random.below(32) === 0 ? 0 : 1 + random.below(random.below(4) === 0 ? 24 : 4)
  for (let i = 0; i < changes; i++) bytes = change(bytes, random, { pool, words })
  return bytes.subarray(0, maxLength)
}

function change(bytes: Buffer, random: Random, { pool, words }: Parts): Buffer {
  const at = random.below(bytes.length + 1)
  const length = random.below(1 + Math.min(bytes.length - at, random.below(4) === 0 ? bytes.length : 16))
  const replaced = (...parts: (Buffer | string)[]) =>
    joined(bytes.subarray(0, at), ...parts, bytes.subarray(at + length))
  const inserted = (...parts: (Buffer | string)[]) => joined(bytes.subarray(0, at), ...parts, bytes.subarray(at))
  const part = bytes.subarray(at, at + length)
  switch (random.below(13)) {
    case 0: {
      const copy = Buffer.from(bytes)
      if (at < copy.length) copy[at] = (copy[at] as number) ^ (1 << random.below(8))
      return copy
    }
    case 1: {
      const copy = Buffer.from(bytes)
      if (at < copy.length) copy[at] = random.below(2) === 0 ? random.below(256) : random.of(oddBytes)
      return copy
    }
    case 2:
      return replaced()
    case 3:
      return inserted(part)
    case 4:
      // Depth and length: what recurses or is quadratic shows.
      return inserted(...Array.from({ length: 1 << random.below(13) }, () => part.subarray(0, 32)))
    case 5:
      return bytes.subarray(0, at)
    case 6: {
      const other = random.of(pool)
      const from = random.below(other.length + 1)
      return replaced(other.subarray(from, from + random.below(other.length - from + 1)))
    }
    case 7:
      return replaced(random.of(oddText))
    case 8:
      return inserted(random.of(oddText))
    case 9:
      return words.length === 0 ? inserted(part) : inserted(random.of(words))
    case 10:
      return words.length === 0 ? replaced() : replaced(random.of(words))
    case 11:
      return withNumber(bytes, at, random)
    default:
      return withLines(bytes, random)
  }
}

const joined = (...parts: (Buffer | string)[]) =>
  Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part)))

/** Another number in place of the next one. */
function withNumber(bytes: Buffer, at: number, random: Random): Buffer {
  const text = bytes.toString('latin1')
  const found = /\d+/.exec(text.slice(at)) ?? /\d+/.exec(text)
  if (!found) return bytes
  const start = text.indexOf(found[0], text.length > at && /\d/.test(text.slice(at)) ? at : 0)
  return joined(bytes.subarray(0, start), random.of(oddNumbers), bytes.subarray(start + found[0].length))
}

/** A line taken out, doubled, or put elsewhere. */
function withLines(bytes: Buffer, random: Random): Buffer {
  const lines = bytes.toString('latin1').split('\n')
  const [from, to] = [random.below(lines.length), random.below(lines.length)]
  const line = lines[from] as string
  if (random.below(2) === 0) lines.splice(from, 1)
  if (random.below(3) > 0) lines.splice(to, 0, line)
  return Buffer.from(lines.join('\n'), 'latin1')
}
