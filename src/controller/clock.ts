/** The two clocks of the controller; tests pass their own. */
export interface Clock {
  /** Unix seconds. */
  now(): number
  /** Seconds that never go back. */
  monotonic(): number
}
