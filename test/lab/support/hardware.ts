/** What a machine of the lab runs on: emulated.ts or user-mode.ts. */
import type * as net from 'node:net'
import type { Background } from '../../support/commands.js'

export type Name = 'server' | 'client'

export interface Place {
  readonly name: Name
  readonly peer: Name
  /** For sockets and the disk, which are gone with it. */
  readonly directory: string
  /** For what remains: the console, and the journal. */
  readonly logs: string
  /** It ends by itself after that many seconds. */
  readonly limitSeconds: number
}

export interface Running {
  readonly process: Background
  /** The line to the guest agent, once it can be had. */
  agent(): Promise<net.Socket>
  /** A folder of this machine that the other one can mount as hostfs: quicker for files than the agent. */
  readonly folder?: string
}

/** Switches a machine on; what an earlier run in the same place wrote to the disk is there. */
export type Hardware = (place: Place) => Promise<Running>

/** The socket for frames to a machine. */
export const lanSocket = (directory: string, name: Name): string => `${directory}/${name}.lan`
export const addressOf = (name: Name): string => `52:54:00:66:00:0${name === 'server' ? 1 : 2}`
export const megabytes = { server: 1024, client: 640 }
/** Before the program of a machine: it ends with the test, and after its time. */
export const mortal = (seconds: number): string[] => [
  ...['setpriv', '--pdeathsig', 'TERM', 'timeout', '-k', '5', String(seconds)],
]
