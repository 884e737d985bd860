/** What the packet worker asks of the fleet: that a knock counts on one server of its group alone. Plain values, and no functions. */

/** Why the fleet does not let a knock count. `fleet-busy`: too many are being claimed. */
export const claimRefusals = ['claimed', 'fleet-away', 'fleet-late', 'fleet-unsure', 'fleet-busy'] as const
type ClaimRefusal = (typeof claimRefusals)[number]

/** A knock that is verified, new, and noted on disk. */
export interface KnockClaim {
  readonly id: number
  /** The 16 bytes by which replays of it are known. */
  readonly digest: Uint8Array
  /** When it was made, in Unix seconds. */
  readonly time: number
  /** Seconds either way. */
  readonly skew: number
}

/** `first`: it was claimed for this server. */
export type ClaimResult = 'first' | ClaimRefusal

export interface ClaimOutcome {
  readonly id: number
  readonly result: ClaimResult
}
