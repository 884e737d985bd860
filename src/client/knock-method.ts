/** How to knock at a server: what each method of choose-method.ts gives. */
import type { Address } from './send.js'

/**
 * What a knock consists of. A sequence is several packets, which other packets to the server may not come between: a new
 * connection in the middle makes it start again.
 */
export type KnockKind = 'pkd' | 'symmetric' | 'signed' | 'sequence'

/** How to knock at a server, and where. */
export interface KnockMethod {
  readonly host: string
  /** At least one, at most one of each version of IP. */
  readonly addresses: readonly Address[]
  readonly kind: KnockKind
  /**
   * Knocks, as it is right at this moment: a PKD knock never twice the same, a rotating sequence by the hour. Resolves
   * to the ports, in words. Fails with `NotSent`, with a UserError when the knock cannot be signed, or in mid-sequence
   * with the signal's reason.
   */
  readonly send: (address: Address, signal?: AbortSignal) => Promise<string>
}

/** Who knocks: asked for what is needed, and told what is of note. */
export interface Caller {
  /** How the server was named. */
  readonly name: string
  /** Asks for a key. */
  readonly secret: () => Promise<string>
  /** Asks to do something, one line. */
  readonly ask: (line: string) => void
  readonly warn: (line: string) => void
}
