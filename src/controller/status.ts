/** What `pkctl status` shows, and what the socket answers to it. */
export interface Status {
  readonly version: string
  readonly pid: number
  readonly uptimeSeconds: number
  readonly config: string
  /** When the configuration was read that is in force; Unix seconds. */
  readonly configuredAt: number
  readonly queue: {
    readonly number: number
    /** By nft's own statement, or by a rule of iptables-nft. */
    readonly native: boolean
    /** Packets without an answer yet. The kernel tells this to root alone, and of queues that are read: else null. */
    readonly waiting: number | null
    /**
     * Knocks, and steps of sequences, that nobody answered since the packet path was made: at the start, by a reload, by
     * commands, at the turn of a rotating sequence. The queue was full, or nobody read it.
     */
    readonly unanswered: number
  }
  readonly services: readonly { readonly name: string; readonly grants: number }[]
  readonly credentials: number
  readonly knocks: {
    readonly accepted: number
    readonly refused: Readonly<Record<string, number>>
  }
  /** Connections that came right behind a knock and waited for its answer. */
  readonly waitedConnections: number
  /** How often the rules were put back after somebody else changed or deleted them. */
  readonly healed: number
  /** Whether such changes are noticed at once; if not, the log says why. */
  readonly watched: boolean
  /** Packets that somebody else's rule queued here; they went on as they came. */
  readonly strayPackets: number
}
