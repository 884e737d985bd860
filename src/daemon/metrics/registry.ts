/**
 * The metrics of the daemon, as Prometheus reads them. All but the time of requests to nft are what the daemon knows at the
 * moment: a scrape sets them. Labels have names of the configuration, and words of fixed lists: nothing that a sender chooses.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Observation } from '../../controller/index.js'
import type { FleetStatus } from '../../fleet/index.js'
import { familyOf, ipFamilies } from '../../net/index.js'
import type { OnNftRequest, Overview } from '../../nft/index.js'
import { nftRequests } from '../../nft/index.js'

/** A request through the session of an owned table takes a millisecond, one that starts nft some more; it is killed after 30 s. */
const nftSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** How often node looks how late it is: its default would wake the thread a hundred times a second. */
const lagMilliseconds = 100

const registry = new Registry()
export const { contentType } = registry
const registers = [registry]

const gauge = <T extends string>(name: string, help: string, ...labelNames: T[]) =>
  new Gauge({ name, help, labelNames, registers })
const counter = <T extends string>(name: string, help: string, ...labelNames: T[]) =>
  new Counter({ name, help, labelNames, registers })

const buildInfo = gauge('pkctl_build_info', 'Versions: always 1.', 'version', 'node', 'nft')
const scrapeError = gauge('pkctl_scrape_error', '1 if the kernel or the packet worker did not answer this scrape.')
const knocks = counter(
  'pkctl_knocks_total',
  'Knocks by credential and outcome. Without a credential: not made with the secret of any.',
  ...(['credential', 'outcome', 'reason'] as const),
)
const notGranted = counter('pkctl_not_granted_total', 'Accepted knocks for which the kernel made no grant.')
const differences = counter(
  'pkctl_grant_differences_total',
  'Grants that the kernel did not have as they were given, or that pkctld did not know of.',
  'kind',
)
const restoredGrants = counter('pkctl_grants_restored_total', 'Missing grants that were given again.')
const foreignGrants = counter('pkctl_foreign_grants_total', 'Grants that other programs made, revoked or changed.')
const compared = gauge('pkctl_grants_compared_timestamp_seconds', 'When grants were last compared, in Unix time.')
const waited = counter('pkctl_waited_connections_total', 'Connections that waited for the answer to a knock.')
const stray = counter('pkctl_stray_packets_total', 'Packets that rules of other programs queued.')
const clockSkew = gauge(
  'pkctl_clock_skew_seconds',
  'How far the clock of the sender of the last accepted knock is ahead.',
  'credential',
)
const credentials = gauge('pkctl_credentials', 'Enabled credentials.')
const grants = gauge('pkctl_grants', 'Sources with access.', 'service', 'family', 'by')
const servicePackets = counter(
  'pkctl_service_packets_total',
  'New connections, or packets, that a service accepted and refused. Starts again when its rules are made again.',
  ...(['service', 'verdict'] as const),
)
const waiting = gauge('pkctl_queue_waiting', 'Packets in the queue without an answer. Only if pkctld runs as root.')
const unanswered = counter(
  'pkctl_queue_unanswered_total',
  'Knocks and steps without an answer. Starts again when the packet path is made again.',
)
const ofOtherMinutes = counter(
  'pkctl_wrong_minute_total',
  "Packets as long as pkctl's own knock, made for another minute. Starts again when the packet path is made again.",
)
const ofNoCredential = counter(
  'pkctl_unknown_tag_total',
  'Packets as long as a PKD knock, with the tag, port or interface of no credential. Starts again when the packet path is made again.',
)
const dropped = counter('pkctl_queue_dropped_total', 'Packets that the queue dropped. Only if pkctld runs as root.')
const replayEntries = gauge('pkctl_replay_entries', 'Knocks in the replay caches.')
const replayFullest = gauge('pkctl_replay_fullest_ratio', 'How full the fullest replay cache is, from 0 to 1.')
const heals = counter('pkctl_heals_total', 'How often the rules were restored after another program changed them.')
const openSeconds = counter(
  'pkctl_open_seconds_total',
  'How long rules were changed or missing by other programs, at most.',
)
const watched = gauge('pkctl_watched', '1 while changes of the rules are noticed at once.')
const owned = gauge('pkctl_table_owned', '1 while pkctld owns its table.')
const signaturesUp = gauge('pkctl_signatures_up', '1 while signatures are verified. Only with credentials of type ssh.')
const selfTestPassed = gauge(
  'pkctl_selftest_passed',
  '1 if the last self-test passed, 0 if it failed. Missing while none can be made.',
)
const selfTestTime = gauge('pkctl_selftest_success_timestamp_seconds', 'When a self-test last passed, in Unix time.')
const selfTestFailures = counter('pkctl_selftest_failures_total', 'Self-tests that failed.')
const selfTestSeconds = gauge('pkctl_selftest_duration_seconds', 'How long the last self-test took.')
const configured = gauge('pkctl_config_timestamp_seconds', 'When the active configuration was read, in Unix time.')
const reloadFailed = gauge('pkctl_reload_failed', '1 if the last reload was refused.')
const fleetConnected = gauge(
  'pkctl_fleet_connected',
  '1 while the engine of the fleet takes messages. Only in a fleet.',
)
const fleetServers = gauge('pkctl_fleet_servers', 'Other servers of the fleet that were heard in the last 30 s.')
const fleetGrants = gauge('pkctl_fleet_grants', 'Grants that the fleet shares, of this server and of others.', 'of')
const fleetWaiting = gauge('pkctl_fleet_waiting', 'Messages that wait for the engine of the fleet.')
const fleetDropped = counter('pkctl_fleet_dropped_total', 'Messages that were given up because too many waited.')
const fleetMessages = counter('pkctl_fleet_messages_total', 'Messages of the fleet, sent and read.', 'direction')
const fleetRefused = counter('pkctl_fleet_refused_total', 'Messages in the engine that did not count.', 'reason')
const nftTime = new Histogram({
  name: 'pkctl_nft_request_seconds',
  help: 'How long requests to nft took.',
  labelNames: ['request'],
  buckets: nftSeconds,
  registers,
})

/** Begins to measure what is measured all the time. */
export function startMeasuring(): void {
  for (const request of nftRequests) nftTime.zero({ request })
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: lagMilliseconds })
}

export const nftRequest: OnNftRequest = (request, seconds) => {
  nftTime.observe({ request }, seconds)
}

/** The text of a scrape. */
export function exposition(
  version: string,
  seen: Observation,
  isReloadFailed: boolean,
  fleet?: FleetStatus,
): Promise<string> {
  setFleet(fleet)
  setTable(seen.table, version)
  setWorker(seen.worker)
  setOrOmit(scrapeError, seen.table && seen.worker ? 0 : 1)
  setOrOmit(waiting, seen.queue?.waiting)
  setOrOmit(dropped, seen.queue?.dropped)
  setOrOmit(notGranted, seen.notGranted)
  setGrantCounts(seen.grants)
  setOrOmit(waited, seen.waitedConnections)
  setOrOmit(stray, seen.strayPackets)
  setOrOmit(credentials, seen.credentials)
  setOrOmit(heals, seen.healed)
  setOrOmit(openSeconds, seen.secondsChanged)
  setOrOmit(watched, Number(seen.watched))
  setOrOmit(owned, Number(seen.owned))
  setOrOmit(signaturesUp, seen.signatures === 'off' ? undefined : Number(seen.signatures === 'running'))
  setSelfTest(seen.selfTest)
  setOrOmit(configured, seen.configuredAt)
  setOrOmit(reloadFailed, Number(isReloadFailed))
  return registry.metrics()
}

const heardMilliseconds = 30_000

function setFleet(fleet: FleetStatus | undefined): void {
  const heard = fleet?.nodes.filter(({ heardAt }) => Date.now() - heardAt < heardMilliseconds)
  setOrOmit(fleetConnected, fleet && Number(fleet.engine === 'connected'))
  setOrOmit(fleetServers, heard?.length)
  setOrOmit(fleetWaiting, fleet?.waiting)
  setOrOmit(fleetDropped, fleet?.dropped)
  for (const metric of [fleetGrants, fleetMessages, fleetRefused]) metric.reset()
  if (!fleet) return
  fleetGrants.set({ of: 'own' }, fleet.ownGrants)
  fleetGrants.set({ of: 'others' }, fleet.foreignGrants)
  fleetMessages.inc({ direction: 'sent' }, fleet.sent)
  fleetMessages.inc({ direction: 'read' }, fleet.received)
  for (const [reason, count] of Object.entries(fleet.refused)) fleetRefused.inc({ reason }, count)
}

function setGrantCounts({ missing, unknown, changed, restored, byOthers, comparedAt }: Observation['grants']): void {
  differences.reset()
  for (const [kind, count] of Object.entries({ missing, unknown, changed })) differences.inc({ kind }, count)
  setOrOmit(restoredGrants, restored)
  setOrOmit(foreignGrants, byOthers)
  setOrOmit(compared, comparedAt ?? undefined)
}

/** One without labels: what is unknown is no zero. */
function setOrOmit(metric: Gauge | Counter, value: number | undefined): void {
  metric.remove({})
  if (value !== undefined) metric.inc(value)
}

function setSelfTest({ result, passedAt, seconds, failures }: Observation['selfTest']): void {
  const isKnown = result === 'passed' || result === 'failed'
  setOrOmit(selfTestPassed, isKnown ? Number(result === 'passed') : undefined)
  setOrOmit(selfTestTime, passedAt ?? undefined)
  setOrOmit(selfTestFailures, failures)
  setOrOmit(selfTestSeconds, seconds ?? undefined)
}

function setTable(table: Overview | undefined, version: string): void {
  setOrOmit(unanswered, table?.unanswered)
  setOrOmit(ofOtherMinutes, table?.ofOtherMinutes)
  setOrOmit(ofNoCredential, table?.ofNoCredential)
  for (const metric of [grants, servicePackets]) metric.reset()
  if (!table) return
  buildInfo.reset()
  buildInfo.set({ version, node: process.versions.node, nft: table.release }, 1)
  for (const { spec, grants: running, admittedPackets, refusedPackets } of table.services.values()) {
    const service = spec.name
    servicePackets.inc({ service, verdict: 'accepted' }, admittedPackets)
    servicePackets.inc({ service, verdict: 'refused' }, refusedPackets)
    for (const by of ['knock', 'hand'] as const) {
      for (const family of ipFamilies) {
        const count = running.filter(grant => grant.by === by && familyOf(grant.source) === family).length
        grants.set({ service, family: `ipv${family}`, by }, count)
      }
    }
  }
}

function setWorker(report: Observation['worker']): void {
  setOrOmit(replayEntries, report?.replay.entries)
  setOrOmit(replayFullest, report?.replay.fullest)
  for (const metric of [knocks, clockSkew]) metric.reset()
  for (const { credential, counts, clockDifferenceSeconds } of report?.knocks ?? []) {
    for (const { outcome, count } of counts) {
      const how = outcome === 'accepted' ? { outcome, reason: '' } : { outcome: 'refused', reason: outcome }
      knocks.inc({ credential, ...how }, count)
    }
    if (clockDifferenceSeconds !== undefined) clockSkew.set({ credential }, clockDifferenceSeconds)
  }
}
