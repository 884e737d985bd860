/** What became of a grant, or of a revocation, that a command makes for a knock. */
export type GrantOutcome =
  /** `unknown`: it is not done yet, or nothing is known of it any more. */
  | { readonly kind: 'made' | 'unknown' }
  /** `services` are those that it was not done for. */
  | { readonly kind: 'failed'; readonly services: readonly string[]; readonly reason: string }
