/** What the benchmark of peers needs to know of each system that it measures. */
import type { Site } from '../site.js'

/** Datagrams that make up one knock, sent one right after the other. */
export interface Knock {
  readonly port: number
  readonly hex: string
}

export interface Peer {
  readonly name: string
  /** What it is, and how it is set up. */
  readonly about: string
  /** Protects the port by a TCP reset, so that a client sees at once that it is still closed. */
  start(site: Site): Promise<RunningPeer>
}

export interface RunningPeer {
  /** The process that takes knocks; undefined where the kernel alone does. */
  readonly pid: number | undefined
  /** A knock for each of these sources, which a client can send within the next seconds. */
  knocks(sources: readonly string[]): Promise<readonly Knock[][]>
  /** For how many sources the port is open. */
  opened(): Promise<number>
  /** A flood that has the port of its knocks, and is as much like them as a stranger can make it. */
  readonly flood: { readonly kind: 'shaped' | 'rubbish'; readonly port: number }
  /** Whether its knocks can be sent as a storm of frames, each right: see sender.ts. */
  readonly takesStorms: boolean
}
