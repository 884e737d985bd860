/**
 * pkctl's bits of the packet mark, all under one mask. The lowest bit says "for the queue"; with it, the next three
 * distinguish a candidate, a pending connection and steps, and the rest is the salt. Without it, what is left is the number
 * of an action, or 0 with "refused".
 */
import type { Expression } from '../nft-json.js'
import * as j from '../nft-json.js'

/** A value of the bits that a mask has. */
export interface MarkMatch {
  readonly value: number
  readonly mask: number
}

export class Marks {
  readonly shift: number
  /** How many actions have a mark of their own. */
  readonly maxActions: number
  /** The lowest bit of the mask, kept: marks are asked for with every packet, and a power costs more than the rest. */
  readonly #unit: number

  /** What the other bits of queued packets are, in place. */
  readonly #salt: number

  /**
   * `seed`: any whole number, by which marks of queued packets differ from those that other programs set, which are
   * constant.
   */
  constructor(
    readonly mask: number,
    seed = 0,
  ) {
    this.shift = Math.log2((mask & -mask) >>> 0)
    this.#unit = 2 ** this.shift
    const values = mask / this.#unit + 1
    this.maxActions = values / 4 - 1
    this.#salt = (seed % (values / 16)) * 16
  }

  readonly #bits = (value: number): number => value * this.#unit

  get others(): number {
    return ~this.mask >>> 0
  }

  readonly #queued = (kind: number): number => this.#bits(this.#salt + kind)

  /** By which bits queued packets are known, and what they are. */
  get queued(): MarkMatch {
    return { value: this.#queued(1), mask: this.mask - this.#bits(14) }
  }

  get candidate(): number {
    return this.#queued(1)
  }

  get pending(): number {
    return this.#queued(3)
  }

  /** A knock of a sequence. */
  get step(): number {
    return this.#queued(5)
  }

  /** The same, of a source that has been elsewhere since its last one. */
  get strayStep(): number {
    return this.#queued(13)
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
/** Gives pkctl's bits this value, whatever they were, and leaves the others as they are. */
export const setOwnBits = (marks: Marks, bits: number): Expression =>
  j.setMark(j.or(j.and(j.meta('mark'), marks.others), bits))
