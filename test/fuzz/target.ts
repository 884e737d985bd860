/** A reader of input from outside, as the fuzzer sees it. */
export interface Target {
  readonly name: string
  /** What inputs are made from, besides the corpus of the target. */
  readonly seeds: readonly (string | Buffer)[]
  /** Words of its language. */
  readonly words?: readonly string[]
  /** How many inputs `npm test` takes; a thousand unless said. */
  readonly runs?: number
  /** Reads the input. Throws for everything that must not happen. */
  readonly run: (input: Buffer) => unknown
}
