/** The configuration after validation, with every default filled in. */
import type { ServiceSpec } from '../nft/index.js'
import type { TriggerCommand } from './credentials/any-credential.js'
import type { Credential } from './credentials/credential-schemas.js'

export type { Credential } from './credentials/credential-schemas.js'
export type {
  TriggerCommand,
  FwknopCredential,
  OneTimeCredential,
  PkdCredential,
  RotatingCredential,
  SequenceCredential,
  SshCredential,
  StepsCredential,
  Trigger,
  Triggers,
} from './credentials/any-credential.js'

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
    /** The same for all sources of one network (IPv4: /16; IPv6: /32) together. */
    readonly perNetwork: number
    /** Knock-shaped packets a second that all above `perSource` or `perNetwork` may send on together. */
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
  /** TCP and UDP ports that a source in the middle of a sequence may use without starting again. */
  readonly openPorts: readonly number[]
  readonly stateDirectory: string
  readonly socket: {
    readonly path: string
    /** Has a socket of its own; null = no group has. */
    readonly group: string | null
    /** What may be asked there. */
    readonly groupMay: readonly GroupRequest[]
  }
  readonly log: {
    readonly level: LogLevel
    readonly to: LogTarget
    /** auto: sentences to a terminal, JSON otherwise. */
    readonly format: LogFormat
    /** Bytes that each of the two parts of the history may take; 0 = there is none. */
    readonly history: number
  }
  readonly metrics: {
    /** Where they are served; null = nowhere. */
    readonly listen: MetricsPlace | null
    /** A file for node_exporter; null = none. */
    readonly textfile: string | null
    /** How often the file is written. */
    readonly intervalSeconds: number
  }
  /** The servers with which this one shares grants; null = none. */
  readonly fleet: FleetConfig | null
  /** How often the daemon knocks on itself; null = not at all. */
  readonly selfTestSeconds: number | null
  readonly notify: readonly NotifyTarget[]
  readonly services: readonly ServiceSpec[]
  readonly credentials: readonly Credential[]
}

export interface FleetConfig {
  readonly engine: {
    readonly host: string
    readonly port: number
    readonly tls: boolean
    readonly user: string | null
    readonly password: string | null
    /** Certificates in PEM; null = those of the system. */
    readonly ca: string | null
  }
  /** The key has 32 bytes. */
  readonly group: { readonly name: string; readonly key: Buffer }
  /** The name of this server. */
  readonly node: string
  /** Services of which the others hear. */
  readonly share: readonly string[]
  /** Services of which the others are believed. */
  readonly accept: readonly string[]
  /** Grants and revocations of one other server that count. */
  readonly mostPerNode: number
  readonly longestWindowSeconds: number
}

/** A Unix socket, or an address and a TCP port. */
export type MetricsPlace = { readonly path: string } | { readonly host: string; readonly port: number }

/** What notifications are of: the field `event` of the log. */
export const notifyEvents = ['lockout-risk', 'healed', 'self-test-failed', 'self-test-passed', 'key-expiring'] as const
export type NotifyEvent = (typeof notifyEvents)[number]

/** A webhook, or a command. */
export type NotifyTarget = {
  readonly name: string
  readonly events: readonly NotifyEvent[]
  /** One notification of an event in this time. */
  readonly everySeconds: number
  readonly timeoutSeconds: number
} & (
  | { readonly webhook: string }
  | { readonly run: TriggerCommand; readonly user: string | null; readonly group: string | null }
)

/** What can be asked for by others than root. */
export const groupRequests = ['status', 'list', 'add', 'delete', 'reload'] as const
export type GroupRequest = (typeof groupRequests)[number]

export const logLevels = ['error', 'warn', 'info', 'debug'] as const
type LogLevel = (typeof logLevels)[number]

export const logFormats = ['auto', 'text', 'json'] as const
type LogFormat = (typeof logFormats)[number]

type LogTarget = 'console' | 'syslog' | { readonly file: string }

export interface LoadedConfig {
  readonly config: Config
  /** What an administrator should know and that does not stand in the way; one line each, with its place. */
  readonly warnings: readonly string[]
}
