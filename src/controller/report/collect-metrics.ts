/** What the daemon knows of itself, for metrics: with one listing of the table at most. */
import type { Firewall, Overview } from '../../nft/index.js'
import type { QueueStatistics } from '../../queue/statistics.js'
import type { GrantCounts } from './collect-status.js'
import type { Counters } from './answer-counters.js'
import type { DriftWatcher } from '../ruleset/drift-watcher.js'
import type { PacketWorker, SignatureState, WorkerReport } from '../packets/packet-worker-interface.js'
import type { SelfTestReport } from '../self-test/result.js'

export interface Observation {
  /** Undefined where the kernel did not say it in time. */
  readonly table: Overview | undefined
  /** Undefined where the packet worker did not say it in time. */
  readonly worker: WorkerReport | undefined
  /** Undefined where the kernel hides it: see `Status`. */
  readonly queue: QueueStatistics | undefined
  readonly waitedConnections: number
  readonly strayPackets: number
  readonly notGranted: number
  readonly grants: GrantCounts
  readonly healed: number
  /** How long the rules were changed or missing, at most. */
  readonly secondsChanged: number
  readonly watched: boolean
  readonly owned: boolean
  readonly signatures: SignatureState
  readonly selfTest: SelfTestReport
  readonly credentials: number
  /** When the active configuration was read; Unix seconds. */
  readonly configuredAt: number
}

interface ObservedParts {
  readonly worker: Pick<PacketWorker, 'report'> | undefined
  readonly counters: Counters | undefined
  readonly queue: QueueStatistics | undefined
  readonly drift: Pick<DriftWatcher, 'restorations' | 'secondsChanged' | 'watched'>
  readonly rest: Pick<
    Observation,
    'notGranted' | 'selfTest' | 'grants' | 'owned' | 'signatures' | 'credentials' | 'configuredAt'
  >
}

/** `left` is aborted when the rest is wanted without what did not come. */
export async function observe(
  firewall: Pick<Firewall, 'overview'>,
  { worker, counters, queue, drift, rest }: ObservedParts,
  left: AbortSignal,
): Promise<Observation> {
  const missing = new Promise<undefined>(resolve => {
    left.addEventListener('abort', () => {
      resolve(undefined)
    })
  })
  const [table, report] = await Promise.all([
    firewall.overview(left).catch(() => undefined),
    Promise.race([worker?.report(), missing]),
  ])
  return {
    ...rest,
    table,
    worker: report,
    queue,
    waitedConnections: counters?.get('pending') ?? 0,
    strayPackets: counters?.get('stray') ?? 0,
    healed: drift.restorations,
    secondsChanged: drift.secondsChanged,
    watched: drift.watched,
  }
}
