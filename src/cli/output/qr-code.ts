/**
 * QR codes (ISO/IEC 18004) of short text, for terminals: byte mode, error correction level L, versions 1 to 20, which hold up
 * to 858 bytes.
 *
 * A code is a square of modules: fixed patterns, and between them the data and its Reed-Solomon codewords in zigzag, under
 * the mask whose pattern is the easiest to read.
 */

/** Rows of modules; true is dark. */
type Modules = readonly (readonly boolean[])[]

const maxVersion = 20
/** For level L, from version 1 on: codewords of error correction in each block, and blocks. */
const correctionLengths = [7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28]
const blockCounts = [1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8]
const levelBits = 0b01
const byteMode = 0b0100

const sizeOf = (version: number) => version * 4 + 17

/** Centres of the alignment patterns, in both directions. */
function alignmentCentres(version: number): number[] {
  if (version === 1) return []
  const count = Math.floor(version / 7) + 2
  const step = Math.ceil((version * 4 + 4) / (count * 2 - 2)) * 2
  const others = Array.from({ length: count - 1 }, (_, i) => sizeOf(version) - 7 - i * step)
  return [6, ...others.reverse()]
}

/** Codewords of data and error correction together. */
function codewordCount(version: number): number {
  const centres = alignmentCentres(version).length
  // Without finders, their separators and formats, timing, alignment patterns, and the version from 7 on.
  const alignment = centres === 0 ? 0 : 25 * (centres * centres - 3) - 10 * (centres - 2)
  const bits = sizeOf(version) ** 2 - 3 * 64 - 31 - 2 * (sizeOf(version) - 16) - alignment - (version < 7 ? 0 : 36)
  return Math.floor(bits / 8)
}

const dataLength = (version: number) =>
  codewordCount(version) - (correctionLengths[version - 1] as number) * (blockCounts[version - 1] as number)

/** Undefined where the text is too long. */
export function qrCode(text: string): Modules | undefined {
  const bytes = Buffer.from(text, 'utf8')
  const headLength = (version: number) => (version < 10 ? 2 : 3)
  const versions = Array.from({ length: maxVersion }, (_, i) => i + 1)
  const version = versions.find(each => bytes.length + headLength(each) <= dataLength(each))
  if (version === undefined) return undefined
  const grid = new Grid(version, withCorrection(dataCodewords(bytes, version), version))
  const [best] = Array.from({ length: masks.length }, (_, mask) => grid.masked(mask)).sort(
    (one, other) => penaltyOf(one) - penaltyOf(other),
  )
  return best
}

/** Mode, length, the bytes, an end, and padding. */
function dataCodewords(bytes: Buffer, version: number): number[] {
  const lengthBits = version < 10 ? 8 : 16
  const bits = [
    ...bitsOf(byteMode, 4),
    ...bitsOf(bytes.length, lengthBits),
    ...[...bytes].flatMap(byte => bitsOf(byte, 8)),
  ]
  const most = dataLength(version) * 8
  bits.push(...bitsOf(0, Math.min(4, most - bits.length)))
  while (bits.length % 8 !== 0) bits.push(0)
  const codewords = Array.from({ length: bits.length / 8 }, (_, i) => valueOf(bits.slice(i * 8, i * 8 + 8)))
  for (let i = 0; codewords.length < dataLength(version); i++) codewords.push(i % 2 === 0 ? 0xec : 0x11)
  return codewords
}

const bitsOf = (value: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (value >>> (count - 1 - i)) & 1)
const valueOf = (bits: readonly number[]): number => bits.reduce((value, bit) => value * 2 + bit, 0)

/** In blocks, the later ones of which can be a codeword longer; then the blocks interleaved. */
function withCorrection(data: readonly number[], version: number): number[] {
  const blockCount = blockCounts[version - 1] as number
  const correction = correctionLengths[version - 1] as number
  const short = Math.floor(data.length / blockCount)
  const shortBlocks = blockCount - (data.length % blockCount)
  const divisor = divisorOf(correction)
  let from = 0
  const blocks = Array.from({ length: blockCount }, (_, i) => {
    const block = data.slice(from, from + short + (i < shortBlocks ? 0 : 1))
    from += block.length
    return { block, check: remainderOf(block, divisor) }
  })
  const interleaved = (lists: readonly (readonly number[])[]) =>
    Array.from({ length: Math.max(...lists.map(({ length }) => length)) }, (_, i) =>
      lists.flatMap(list => list[i] ?? []),
    ).flat()
  return [...interleaved(blocks.map(({ block }) => block)), ...interleaved(blocks.map(({ check }) => check))]
}

/** In GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1. */
function product(one: number, other: number): number {
  let result = 0
  for (let bit = 7; bit >= 0; bit--) {
    result = (result << 1) ^ ((result >>> 7) * 0x11d)
    if ((other >>> bit) & 1) result ^= one
  }
  return result
}

/** The coefficients of (x - 1)(x - 2)(x - 4)…, without the first, which is 1. */
function divisorOf(degree: number): number[] {
  let result = [1]
  let root = 1
  for (let i = 0; i < degree; i++) {
    const shifted = [...result, 0]
    result = shifted.map((each, j) => each ^ product(result[j - 1] ?? 0, root))
    root = product(root, 2)
  }
  return result.slice(1)
}

function remainderOf(data: readonly number[], divisor: readonly number[]): number[] {
  let result = divisor.map(() => 0)
  for (const codeword of data) {
    const factor = codeword ^ (result[0] as number)
    result = [...result.slice(1), 0].map((each, i) => each ^ product(divisor[i] as number, factor))
  }
  return result
}

const masks: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  x => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
]

/** The modules of a version, with data but without a mask. */
class Grid {
  readonly #size: number
  readonly #dark: boolean[][]
  /** Those of fixed patterns, which no mask changes. */
  readonly #fixed: boolean[][]

  constructor(
    readonly version: number,
    codewords: readonly number[],
  ) {
    this.#size = sizeOf(version)
    const empty = () => Array.from({ length: this.#size }, () => Array.from({ length: this.#size }, () => false))
    this.#dark = empty()
    this.#fixed = empty()
    this.#drawPatterns()
    this.#fill(codewords.flatMap(each => bitsOf(each, 8)))
  }

  masked(mask: number): Modules {
    this.#drawFormat(mask)
    const flips = masks[mask] as (typeof masks)[number]
    return this.#dark.map((row, y) =>
      row.map((dark, x) => (this.#fixed[y]?.[x] === true ? dark : dark !== flips(x, y))),
    )
  }

  #set(x: number, y: number, dark: boolean): void {
    const [row, fixed] = [this.#dark[y], this.#fixed[y]]
    if (!row || !fixed || x < 0 || x >= this.#size) return
    row[x] = dark
    fixed[x] = true
  }

  #drawPatterns(): void {
    const last = this.#size - 1
    for (let i = 0; i < this.#size; i++) {
      this.#set(6, i, i % 2 === 0)
      this.#set(i, 6, i % 2 === 0)
    }
    // Finders with their separators: squares around a centre.
    for (const [x, y] of [
      [3, 3],
      [last - 3, 3],
      [3, last - 3],
    ] as const)
      this.#drawSquares(x, y, 4, distance => distance !== 2 && distance !== 4)
    const centres = alignmentCentres(this.version)
    const [first, end] = [centres[0], centres.at(-1)]
    for (const x of centres) {
      for (const y of centres) {
        const isFinder = (x === first && y === first) || (x === first && y === end) || (x === end && y === first)
        if (!isFinder) this.#drawSquares(x, y, 2, distance => distance !== 1)
      }
    }
    this.#drawFormat(0)
    this.#drawVersion()
  }

  #drawSquares(x: number, y: number, radius: number, isDark: (distance: number) => boolean): void {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) this.#set(x + dx, y + dy, isDark(Math.max(Math.abs(dx), Math.abs(dy))))
    }
  }

  /** Level and mask, with 10 bits of a BCH code; twice. */
  #drawFormat(mask: number): void {
    const data = (levelBits << 3) | mask
    let rest = data
    for (let i = 0; i < 10; i++) rest = (rest << 1) ^ ((rest >>> 9) * 0x537)
    const bits = ((data << 10) | rest) ^ 0x5412
    const dark = (i: number) => ((bits >>> i) & 1) === 1
    const last = this.#size - 1
    for (let i = 0; i < 15; i++) {
      const [x, y] = i < 6 ? [8, i] : i < 8 ? [8, i + 1] : i === 8 ? [7, 8] : [14 - i, 8]
      this.#set(x, y, dark(i))
      if (i < 8) this.#set(last - i, 8, dark(i))
      else this.#set(8, last - 14 + i, dark(i))
    }
    this.#set(8, last - 7, true)
  }

  /** From version 7 on, with 12 bits of a BCH code; twice. */
  #drawVersion(): void {
    if (this.version < 7) return
    let rest = this.version
    for (let i = 0; i < 12; i++) rest = (rest << 1) ^ ((rest >>> 11) * 0x1f25)
    const bits = (this.version << 12) | rest
    for (let i = 0; i < 18; i++) {
      const dark = ((bits >>> i) & 1) === 1
      const [far, near] = [this.#size - 11 + (i % 3), Math.floor(i / 3)]
      this.#set(far, near, dark)
      this.#set(near, far, dark)
    }
  }

  /** From the lower right corner, up and down in columns of two; column 6 is a timing pattern. */
  #fill(bits: readonly number[]): void {
    let next = 0
    let isUpward = true
    for (let right = this.#size - 1; right >= 1; right -= 2) {
      if (right === 6) right = 5
      for (let step = 0; step < this.#size; step++) {
        const y = isUpward ? this.#size - 1 - step : step
        for (const x of [right, right - 1]) {
          if (this.#fixed[y]?.[x] === true) continue
          const row = this.#dark[y]
          if (row) row[x] = bits[next] === 1
          next++
        }
      }
      isUpward = !isUpward
    }
  }
}

/** How hard a pattern is to read: section 7.8.3 of the standard. */
function penaltyOf(modules: Modules): number {
  const columns = modules.map((_, x) => modules.map(row => row[x] === true))
  const lines = [...modules, ...columns].map(row => row.map(dark => (dark ? '1' : '0')).join(''))
  let penalty = 0
  for (const line of lines) {
    for (const [run] of line.matchAll(/0{5,}|1{5,}/g)) penalty += run.length - 2
    // What looks like a finder, with light modules on one side.
    penalty += 40 * [...line.matchAll(/(?=10111010000|00001011101)/g)].length
  }
  for (let y = 1; y < modules.length; y++) {
    for (let x = 1; x < modules.length; x++) {
      const [above, here] = [modules[y - 1], modules[y]]
      if (above?.[x] === here?.[x] && above?.[x - 1] === here?.[x] && here?.[x - 1] === here?.[x]) penalty += 3
    }
  }
  const dark = modules.flat().filter(Boolean).length
  return penalty + 10 * Math.floor((Math.abs(dark * 2 - modules.length ** 2) * 10) / modules.length ** 2)
}

/** The light modules around a code, which readers need. */
const margin = 2

/** Two rows in each line of text. The light modules are drawn, as most terminals are dark. */
export function drawQrCode(modules: Modules): string {
  const size = modules.length + 2 * margin
  const isLight = (x: number, y: number) => modules[y - margin]?.[x - margin] !== true
  const lines = Array.from({ length: Math.ceil(size / 2) }, (_, line) =>
    Array.from({ length: size }, (_, x) => {
      const [upper, lower] = [isLight(x, 2 * line), 2 * line + 1 < size && isLight(x, 2 * line + 1)]
      return upper ? (lower ? '█' : '▀') : lower ? '▄' : ' '
    }).join(''),
  )
  return lines.join('\n')
}
