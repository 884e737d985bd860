/** The configuration after validation, with every default filled in. */
import type { PkdKey } from '../knock/pkd.js'
import type { HourKind, Rotation } from '../knock/rotating.js'
import type { FlagRule, Step } from '../knock/sequence.js'
import type { ServiceSpec } from '../nft/table/service-spec.js'

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
    /** Commands of triggers that may run at the same time. */
    readonly triggersAtOnce: number
    /** Commands that may wait for their turn. */
    readonly triggersWaiting: number
  }
  /** TCP and UDP ports that a source in the middle of a sequence may use without beginning anew. */
  readonly openPorts: readonly number[]
  readonly stateDirectory: string
  readonly socket: {
    readonly path: string
    /** Has a socket of its own; null = nobody has. */
    readonly group: string | null
    /** What may be asked there. */
    readonly groupMay: readonly GroupRequest[]
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

/** What can be asked for by others than root. */
export const groupRequests = ['status', 'list', 'add', 'delete', 'reload'] as const
export type GroupRequest = (typeof groupRequests)[number]

export const logLevels = ['error', 'warn', 'info', 'debug'] as const
type LogLevel = (typeof logLevels)[number]

export const logFormats = ['auto', 'text', 'json'] as const
type LogFormat = (typeof logFormats)[number]

type LogTarget = 'console' | 'syslog' | { readonly file: string }

/** At most `count` knocks in `seconds`. */
export interface KnockRate {
  readonly count: number
  readonly seconds: number
}

/** What a knock is checked against, by `type`. */
export type Credential = PkdCredential | StepsCredential
/** Credentials whose knocks are ports in an order. */
export type StepsCredential = SequenceCredential | OneTimeCredential | RotatingCredential

interface AnyCredential {
  readonly name: string
  /** Names of services, without duplicates; none only with a trigger, or with `closes`. */
  readonly opens: readonly string[]
  /** Names of services whose grants are taken back instead. */
  readonly closes: readonly string[]
  /** Seconds, Infinity for a grant without end; null = the service's own. */
  readonly window: number | null
  /** Per source and credential; null = no limit. */
  readonly rate: KnockRate | null
  readonly triggers: Triggers
  readonly enabled: boolean
}

interface AnySteps extends AnyCredential {
  /** Seconds for the whole sequence. */
  readonly timeout: number
  /** Which TCP packets are knocks. */
  readonly flags: FlagRule
  /** Where knocks must be sent to; empty = to any address of the machine. */
  readonly targets: readonly string[]
}

/** What a command is run for; null = nothing is run. */
export interface Triggers {
  readonly open: Trigger | null
  readonly close: Trigger | null
  readonly expiry: Trigger | null
}

export interface Trigger {
  /** For knocks over IPv4; null = nothing is run. */
  readonly command: Command | null
  readonly command6: Command | null
  /** Null = that of the daemon. */
  readonly user: string | null
  readonly group: string | null
  /** Seconds. */
  readonly timeout: number
}

/** A program and its arguments, or a line for /bin/sh; with placeholders. */
export type Command = { readonly argv: readonly string[] } | { readonly shell: string }

/** Knocks at fixed ports, in their order. */
export interface SequenceCredential extends AnySteps {
  readonly type: 'sequence'
  readonly steps: readonly Step[]
}

/** Sequences from a file, each good for once. */
export interface OneTimeCredential extends AnySteps {
  readonly type: 'one-time'
  readonly file: string
}

/** Knocks at ports that a secret and the hour give. */
export interface RotatingCredential extends AnySteps {
  readonly type: 'rotating'
  readonly open: Rotation
  /** The sequence that takes the grant back; null = there is none. */
  readonly close: Rotation | null
  readonly hour: HourKind
  /** Seconds before and after the turn of the hour in which the neighbour's sequence counts as well. */
  readonly grace: number
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
  /** Prefixes in which an address may be asked for instead of the sender's own; empty = none may. */
  readonly onBehalfOf: readonly string[]
}

export interface LoadedConfig {
  readonly config: Config
  /** What an administrator should know and that does not stand in the way; one line each, with its place. */
  readonly warnings: readonly string[]
}
