/**
 * pkctl's bits of the packet mark, all under one mask. The lowest bit says "for the queue"; with it, the next bit
 * distinguishes a pending connection from a candidate. Without it, what is left is the number of an action, or 0 with "refused".
 */
import type { Expression } from '../json.js'
import * as j from '../json.js'

export class Marks {
  readonly shift: number
  /** How many actions have a mark of their own. */
  readonly maxActions: number
  /** The lowest bit of the mask, kept: marks are asked for with every packet, and a power costs more than the rest. */
  readonly #unit: number

  constructor(readonly mask: number) {
    this.shift = Math.log2((mask & -mask) >>> 0)
    this.#unit = 2 ** this.shift
    this.maxActions = (mask / this.#unit + 1) / 4 - 1
  }

  readonly #bits = (value: number): number => value * this.#unit

  get others(): number {
    return ~this.mask >>> 0
  }

  /** The bit by which packets are queued. */
  get queued(): number {
    return this.#bits(1)
  }

  get candidate(): number {
    return this.#bits(1)
  }

  get pending(): number {
    return this.#bits(3)
  }

  /** A knock of a sequence. */
  get step(): number {
    return this.#bits(5)
  }

  /** The same, of a source that has been elsewhere since its last one. */
  get strayStep(): number {
    return this.#bits(13)
  }

  get refused(): number {
    return this.#bits(2)
  }

  action(number: number): number {
    return this.#bits(number * 4)
  }

  /** The number of the action whose mark this is. */
  actionOf(mark: number): number {
    return ((mark & this.mask) >>> 0) / this.#bits(4)
  }
}

/** pkctl's bits of a packet's mark, in a rule. */
export const ownBits = (marks: Marks): j.Json => j.and(j.meta('mark'), marks.mask)
export const clearMark = (marks: Marks): Expression => j.setMark(j.and(j.meta('mark'), marks.others))
export const addMark = (bits: number): Expression => j.setMark(j.or(j.meta('mark'), bits))
