/** What the daemon hands to its controller: the kernel, the clock, the files, the thread for packets. */
import type { Config } from '../config/types.js'
import type { Firewall, Marks } from '../nft/index.js'
import type { QueueStatistics } from '../queue/statistics.js'
import type { ReadOneTime } from './verify/active-credentials.js'
import type { ReconcileParts } from './ruleset/drift-watcher.js'
import type { Log } from './report/log-interface.js'
import type { ClaimResult, KnockClaim } from './packets/knock-claim.js'
import type { PacketWorker, PacketWorkerEvents } from './packets/packet-worker-interface.js'
import type { ReadKeyFile } from './verify/patient-reads.js'
import type { OpenLoopback } from './self-test/loopback.js'
import type { SelfTestReport } from './self-test/result.js'
import type { KnockGrantStore } from './grants/knock-grant-store.js'
import type { OwnershipParts } from './ruleset/table-ownership.js'
import type { TriggerSchedule } from './triggers/trigger-schedule.js'

export interface ControllerParts {
  readonly version: string
  readonly log: Log
  readonly firewall: Firewall
  readonly triggers: TriggerSchedule
  readonly readOneTime: ReadOneTime
  readonly readKeyFile: ReadKeyFile
  readonly knockGrants: Pick<KnockGrantStore, 'note' | 'end' | 'forget' | 'running' | 'close'>
  /** Told of each service that a knock closes for an address by a command. */
  readonly onClosed?: ((service: string, address: string) => void) | undefined
  /** Seconds of the clock of `knockGrants`. */
  readonly steadySeconds: () => number
  readonly marks: Marks
  readonly reconciling: ReconcileParts
  readonly ownership: OwnershipParts
  readonly startWorker: (config: Config, events: PacketWorkerEvents) => Promise<PacketWorker>
  readonly queueStatistics: (number: number) => QueueStatistics | undefined
  /** Claims a knock for this server in the fleet. Undefined where there is no fleet. */
  readonly claimKnock?: ((claim: KnockClaim) => Promise<ClaimResult>) | undefined
  /** Random bytes, which the packet worker has, too. */
  readonly selfTestToken: Uint8Array
  readonly openLoopback: OpenLoopback
  readonly onSelfTest: (report: SelfTestReport) => void
  /** Unix milliseconds. */
  readonly now: () => number
  /** A whole number below its argument. */
  readonly random: (below: number) => number
  /** Called when the daemon cannot go on. */
  readonly onFatal: (error: Error) => void
}
