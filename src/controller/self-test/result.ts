/** What the last self-test has shown. */

/**
 * Where the way of a knock is broken: `rules`: before the queue; `queue`: it is full, or its rule is missing; `reader`: the
 * packet worker does not take packets out of it; `nft`: the ruleset is not under control.
 */

export type SelfTestCause = 'rules' | 'queue' | 'reader' | 'nft'

/**
 * `waiting`: the first one has not ended. `impossible`: it cannot be made on this machine, which says nothing of knocks. `off`:
 * by the configuration, or because nothing can be knocked.
 */
type SelfTestResult = 'passed' | 'failed' | 'impossible' | 'waiting' | 'off'

export interface SelfTestOutcome {
  readonly result: SelfTestResult
  /** Why it failed or is impossible. */
  readonly because?: string
  /** Only where it failed. */
  readonly cause?: SelfTestCause
}

export interface SelfTestReport extends SelfTestOutcome {
  /** When the last one ended, and the last one that passed; Unix seconds. null: none has. */
  readonly at: number | null
  readonly passedAt: number | null
  /** How long the last one took. */
  readonly seconds: number | null
  /** How many failed since the start of the daemon. */
  readonly failures: number
}
