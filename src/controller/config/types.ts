/** The configuration after validation, with every default filled in. */
import type { PkdKey } from '../../knock/pkd.js'
import type { HourKind, Rotation } from '../../knock/rotating.js'
import type { Step } from '../../knock/sequence.js'
import type { ServiceSpec } from '../../nft/service.js'

export interface Config {
  /** The main file, as an absolute path. */
  readonly file: string
  readonly queue: {
    /** Of NFQUEUE, 0 to 65535. */
    readonly number: number
    /** Packets that may wait in the queue. */
    readonly maxLength: number
  }
  readonly marks: {
    /** The bits of the firewall mark that belong to pkctl: one run of at least 8. */
    readonly mask: number
  }
  readonly limits: {
    /** Knock-shaped packets a second that one source (IPv6: one /64) may send to user space. */
    readonly perSource: number
    /** Knock-shaped packets a second that all sources above `perSource` may send on together. */
    readonly excess: number
    /** Knock-shaped packets a second in all; 0 = no limit. */
    readonly total: number
    /** Knocks remembered per credential. */
    readonly replayEntries: number
    /** The same for credentials with skew -1, whose knocks never grow too old to be remembered. */
    readonly anyClockEntries: number
  }
  /** TCP and UDP ports that a source in the middle of a sequence may use without beginning anew. */
  readonly openPorts: readonly number[]
  readonly stateDirectory: string
  readonly socket: {
    readonly path: string
    /** May use the socket besides root; null = nobody. */
    readonly group: string | null
  }
  readonly log: {
    readonly level: LogLevel
    readonly to: LogTarget
    /** auto: sentences to a terminal, JSON otherwise. */
    readonly format: LogFormat
  }
  readonly services: readonly ServiceSpec[]
  readonly credentials: readonly Credential[]
}

export const logLevels = ['error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof logLevels)[number]

export const logFormats = ['auto', 'text', 'json'] as const
export type LogFormat = (typeof logFormats)[number]

export type LogTarget = 'console' | 'syslog' | { readonly file: string }

/** At most `count` knocks in `seconds`. */
export interface KnockRate {
  readonly count: number
  readonly seconds: number
}

/** What a knock is checked against, by `type`. */
export type Credential = PkdCredential | SequenceCredential | RotatingCredential

interface AnyCredential {
  readonly name: string
  /** Names of services, without duplicates, at least one. */
  readonly opens: readonly string[]
  /** Seconds; null = the service's own. */
  readonly window: number | null
  readonly enabled: boolean
}

/** Knocks at fixed ports, in their order. */
export interface SequenceCredential extends AnyCredential {
  readonly type: 'sequence'
  readonly steps: readonly Step[]
  /** Seconds for the whole sequence. */
  readonly timeout: number
}

/** Knocks at ports that a secret and the hour give. */
export interface RotatingCredential extends AnyCredential {
  readonly type: 'rotating'
  readonly open: Rotation
  /** The sequence that takes the grant back; null = there is none. */
  readonly close: Rotation | null
  readonly hour: HourKind
  /** Seconds before and after the turn of the hour in which the neighbour's sequence counts as well. */
  readonly grace: number
  /** Seconds for the whole sequence. */
  readonly timeout: number
}

export interface PkdCredential extends AnyCredential {
  readonly type: 'pkd'
  /** 4 bytes. */
  readonly tag: Buffer
  readonly key: PkdKey
  readonly keyFrom: { readonly kind: 'inline' } | { readonly kind: 'file'; readonly path: string }
  /** The UDP port that it must be sent to; null = every port. */
  readonly port: number | null
  /** Seconds either way; -1 = any clock. */
  readonly skew: number
  /** Per source and credential; null = no limit. */
  readonly rate: KnockRate | null
}

export interface LoadedConfig {
  readonly config: Config
  /** What an administrator should know and that does not stand in the way; one line each, with its place. */
  readonly warnings: readonly string[]
}
