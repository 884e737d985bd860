/** Credentials after validation, with every default filled in. */
import type {
  FlagRule,
  FwknopSecret,
  HourKind,
  PkdSecret,
  RotatingSequence,
  Step,
  SymmetricSecret,
} from '../../knock/index.js'

/** At most `count` knocks in `seconds`. */
export interface KnockRate {
  readonly count: number
  readonly seconds: number
}

/** Credentials whose knocks are ports in an order. */
export type StepsCredential = SequenceCredential | OneTimeCredential | RotatingCredential

export interface AnyCredential {
  readonly name: string
  /** Names of services, without duplicates; none only with a trigger, or with `closes`. */
  readonly opens: readonly string[]
  /** Names of services whose grants are revoked instead. */
  readonly closes: readonly string[]
  /** Seconds, Infinity for a grant without a time limit; null = the service's own. */
  readonly window: number | null
  /** By which interfaces a knock must come in; empty = by any. */
  readonly interfaces: readonly string[]
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
  readonly command: TriggerCommand | null
  readonly command6: TriggerCommand | null
  /** Null = that of the daemon. */
  readonly user: string | null
  readonly group: string | null
  /** Seconds. */
  readonly timeout: number
}

/** A program and its arguments, or a line for /bin/sh; with placeholders. */
export type TriggerCommand = { readonly argv: readonly string[] } | { readonly shell: string }

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
  readonly open: RotatingSequence
  /** The sequence that revokes the grant; null = there is none. */
  readonly close: RotatingSequence | null
  readonly hour: HourKind
  /** Seconds before and after the turn of the hour in which the neighbour's sequence counts as well. */
  readonly grace: number
}

/** Knocked by one packet, in one of the formats that credential-types.ts lists for the type. */
export interface PacketKnockCredential extends AnyCredential {
  /** As credential-types.ts lists it. */
  readonly type: string
  /** The UDP port that it must be sent to; null = every port. */
  readonly port: number | null
  /** Seconds either way; -1 = any clock. */
  readonly skew: number
  /** Prefixes in which an address may be asked for instead of the sender's own; empty = none may. */
  readonly onBehalfOf: readonly string[]
  /** On one server of the fleet alone; undefined = on each server to which it is sent. */
  readonly once?: 'group'
}

/** Knocked by a device that has this key. */
export interface SymmetricCredential extends PacketKnockCredential, SymmetricSecret {
  readonly type: 'symmetric'
  /** Seconds: the longest time that a knock can ask for; null = no more than is granted anyway. */
  readonly maxWindow: number | null
}

/** A file of keys that belong to users. */
export interface KeyPath {
  /** As the configuration has it. */
  readonly written: string
  /** Whose home directory `path` is in; null for an absolute path. */
  readonly user: string | null
  readonly path: string
}

/** Knocked by users who have a key of OpenSSH. */
export interface SshCredential extends PacketKnockCredential {
  readonly type: 'ssh'
  /** Seconds: the longest time that a knock can ask for; null = no more than is granted anyway. */
  readonly maxWindow: number | null
  /** 32 bytes: what users knock at. */
  readonly identity: Buffer
  /** 32 bytes: what decrypts their knocks; null where this server does not have it. */
  readonly privateKey: Buffer | null
  readonly authorizedKeys: readonly KeyPath[]
  readonly caKeys: readonly KeyPath[]
  readonly revokedKeys: readonly KeyPath[]
  /** A certificate must have one of them, unless the line of its CA has others. */
  readonly principals: readonly string[]
}

export interface PkdCredential extends PacketKnockCredential, PkdSecret {
  readonly type: 'pkd'
  readonly keyFrom: { readonly kind: 'inline' } | { readonly kind: 'file'; readonly path: string }
}

export interface FwknopCredential extends PacketKnockCredential, FwknopSecret {
  readonly type: 'fwknop'
}
