/** What `pkctl status` shows, and what the socket answers to it. */
import type { Config } from '../../config/types.js'
import type { Firewall } from '../../nft/index.js'
import type { QueueStatistics } from '../../queue/statistics.js'
import type { CounterName, Counters } from './answer-counters.js'
import { refusals } from '../verify/decision.js'
import type { DriftWatcher } from '../ruleset/drift-watcher.js'
import type { GrantAuditCounts } from '../grants/grant-audit.js'
import type { GrantConfirmation } from '../grants/grant-confirmation.js'
import type { SignatureState } from '../packets/packet-worker-interface.js'
import type { SelfTestReport } from '../self-test/result.js'
import type { TableProtection } from '../ruleset/table-ownership.js'

export interface Status {
  readonly version: string
  readonly pid: number
  readonly uptimeSeconds: number
  readonly config: string
  /** When the active configuration was read; Unix seconds. */
  readonly configuredAt: number
  readonly queue: {
    readonly number: number
    /** By nft's own statement, or by a rule of iptables-nft. */
    readonly native: boolean
    /** Packets without an answer yet. Null when the daemon is not root or the queue is not read: the kernel hides it. */
    readonly waiting: number | null
    /**
     * Knocks, and steps of sequences, that got no answer since the packet path was last installed: at the start, by a
     * reload, by commands, at the turn of a rotating sequence. The queue was full, or no process read it.
     */
    readonly unanswered: number
  }
  readonly services: readonly { readonly name: string; readonly grants: number }[]
  readonly credentials: number
  readonly knocks: {
    /** Valid knocks, also those that revoke a grant. */
    readonly accepted: number
    readonly refused: Readonly<Record<string, number>>
    /** Accepted knocks for which the kernel was found to have made no grant. A daemon of an earlier release does not say it. */
    readonly notGranted?: number
    /**
     * Packets as long as pkctl's own knock that the kernel did not queue because they were of another minute, since the packet
     * path was last installed. A daemon of an earlier release does not say it.
     */
    readonly ofOtherMinutes?: number
    /**
     * Packets as long as a PKD knock that the kernel did not queue because no credential has their tag, port or interface, since
     * the packet path was last installed. A daemon of an earlier release does not say it.
     */
    readonly ofNoCredential?: number
    /**
     * Accepted knocks for which the kernel was not asked for the grant, because too many came at once, or did not answer in
     * time. A daemon of an earlier release does not say it.
     */
    readonly unchecked?: number
  }
  /** Where the kernel's grants were not those given. A daemon of an earlier release does not say it. */
  readonly grantCheck?: GrantCounts
  /**
   * Whether the signatures of knocks are verified: `off` where no credential is of type ssh, `down` where its thread does not
   * run. A daemon of an earlier release does not say it.
   */
  readonly signatures?: SignatureState
  /** Connections that came right after a knock and waited for its answer. */
  readonly waitedConnections: number
  /** How often the rules were restored after another program changed or deleted them. */
  readonly healed: number
  /** Whether drift is noticed at once. */
  readonly watched: boolean
  /** Why not. A daemon of an earlier release does not say it. */
  readonly unwatchedBecause?: string
  /** How the table is kept as it should be. A daemon of an earlier release does not say it. */
  readonly table?: TableProtection
  /** Whether a knock of the daemon on itself comes through. A daemon of an earlier release does not say it. */
  readonly selfTest?: SelfTestReport
  /** Packets that another program's rule queued here; they went on as they came. */
  readonly strayPackets: number
  /** Lines of the log that could not be written since the start. A daemon of an earlier release does not say it. */
  readonly lostLogLines?: number
  /** null after a good reload. A daemon of an earlier release does not say it. */
  readonly refusedReload?: RefusedReload | null
}

/** `byOthers`: grants that other programs made, revoked or changed. */
export type GrantCounts = GrantAuditCounts & { readonly byOthers: number }

/** The last reload, where it was refused: the active configuration is an older one than that of the file. */
export interface RefusedReload {
  /** Unix seconds. */
  readonly at: number
  /** The first error, and how many there were. */
  readonly error: string
  readonly errors: number
}

interface StatusParts {
  readonly version: string
  readonly config: Config
  /** Unix milliseconds. */
  readonly startedAt: number
  readonly configuredAt: number
  readonly now: number
  readonly queue: number
  readonly native: boolean
  readonly counters: Counters | undefined
  readonly signatures: SignatureState
  /** What the kernel was found to have made of accepted knocks. */
  readonly confirmation: Pick<GrantConfirmation, 'missing' | 'unchecked'>
  readonly grants: GrantCounts
  readonly drift: Pick<DriftWatcher, 'restorations' | 'watched' | 'unwatchedBecause'>
  readonly protection: TableProtection
  readonly selfTest: SelfTestReport
  readonly queueStatistics: (number: number) => QueueStatistics | undefined
  /** Aborted when who asked does not wait any more. */
  readonly left?: AbortSignal | undefined
}

export async function collectStatus(firewall: Pick<Firewall, 'overview'>, parts: StatusParts): Promise<Status> {
  const { version, config, startedAt, configuredAt, now, queue, native, counters, confirmation, drift } = parts
  const count = (name: CounterName) => counters?.get(name) ?? 0
  const { services, unanswered, ofOtherMinutes, ofNoCredential } = await firewall.overview(parts.left)
  const { waiting } = parts.queueStatistics(queue) ?? { waiting: null }
  return {
    version,
    pid: process.pid,
    uptimeSeconds: Math.floor((now - startedAt) / 1000),
    config: config.file,
    configuredAt: configuredAt / 1000,
    queue: { number: queue, native, waiting, unanswered },
    services: [...services.values()].map(({ spec, grants }) => ({ name: spec.name, grants: grants.length })),
    credentials: config.credentials.filter(credential => credential.enabled).length,
    knocks: {
      accepted: count('accepted'),
      refused: Object.fromEntries(refusals.map(reason => [reason, count(reason)] as const).filter(([, n]) => n !== 0)),
      notGranted: confirmation.missing,
      unchecked: confirmation.unchecked,
      ofOtherMinutes,
      ofNoCredential,
    },
    grantCheck: parts.grants,
    signatures: parts.signatures,
    waitedConnections: count('pending'),
    healed: drift.restorations,
    watched: drift.watched,
    ...(drift.unwatchedBecause === undefined ? {} : { unwatchedBecause: drift.unwatchedBecause }),
    table: parts.protection,
    selfTest: parts.selfTest,
    strayPackets: count('stray'),
  }
}
