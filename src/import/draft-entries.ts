/** What importers hand to a draft, and what a draft makes of it. */
import type { PortRange } from '../net/index.js'
import type { Note } from './notes.js'
import type { PortProtocol } from './service-ports.js'

export type Reject = 'drop' | 'reset' | 'icmp'
/** Seconds, or without a time limit. */
export type Window = number | 'unlimited'

/** All ports, of one protocol or of any. */
export type AllPorts = PortProtocol | 'any'

/** Ports that a knock opens. */
export interface OpenedPorts {
  readonly protocol: PortProtocol
  readonly ports: readonly PortRange[]
  readonly window?: Window
  readonly reject?: Reject
}

export interface TriggerDraft {
  readonly command?: readonly string[]
  readonly command6?: readonly string[]
  readonly shell?: string
  readonly shell6?: string
  readonly user?: string
  readonly timeout?: number
}

export interface CredentialDraft {
  /** As it was called there. */
  readonly name: string
  /** In the order in which they are printed, `type` first; without those below. */
  readonly options: Readonly<Record<string, unknown>>
  /** By their options. */
  readonly secrets?: Readonly<Record<string, string>>
  readonly opens?: readonly OpenedPorts[]
  /** Services that the configuration need not have. */
  readonly named?: readonly string[]
  /** Whether its commands may open ports, of which it is not known which. */
  readonly isUnclear?: boolean
  /** Whether it opens whatever the others open. */
  readonly opensAll?: AllPorts
  /** Where it opens no ports, or only named ones. */
  readonly window?: Window
  readonly onOpen?: TriggerDraft
  readonly onClose?: TriggerDraft
  readonly onExpiry?: TriggerDraft
  /** Ports that a knock closes again. */
  readonly closes?: readonly OpenedPorts[]
  /** The same for services by their names. */
  readonly closesNamed?: readonly string[]
  /** Whether it closes whatever the others open. */
  readonly closesAll?: AllPorts
  readonly notes?: readonly Note[]
}

export interface DraftEntry {
  readonly name: string
  readonly options: Readonly<Record<string, unknown>>
  readonly secrets: Readonly<Record<string, string>>
  readonly notes: readonly Note[]
}

/** What is printed: comments and entries, whose names are valid and unique. */
export interface ImportResult {
  readonly notes: readonly Note[]
  readonly settings: ReadonlyMap<string, unknown>
  readonly services: readonly DraftEntry[]
  readonly credentials: readonly DraftEntry[]
}
