/** The servers that share grants with this one, as its daemon sees them. */
import { missingAtEngine, openEngineText } from '../../config/index.js'
import type { FleetStatus } from '../../fleet/index.js'
import type { FleetWarning } from '../../fleet/warnings.js'
import { fleetWarnings } from '../../fleet/warnings.js'
import type { Facts } from '../facts.js'
import type { Finding, FindingId } from '../finding.js'
import { finding } from '../finding.js'

const findingOf: Readonly<Record<FleetWarning['kind'], readonly [FindingId, string]>> = {
  engine: ['fleet-engine-away', 'see that the engine runs and that pkctld may reach it: docs/fleet.md'],
  key: [
    'fleet-key',
    "compare 'key-file', 'group' and 'longest-window' on all servers, and who can write to the engine",
  ],
  version: ['fleet-version', 'update the other servers, or this one'],
  clock: ['fleet-clock', 'synchronise the clocks of all servers, for example with chrony'],
  name: ['fleet-name', "give each server a 'node' of its own"],
  missing: ['fleet-messages-missing', 'see who else can write to the engine, and whether it keeps what it is given'],
  claims: ['fleet-claims', 'see that the engine runs, is near, and does not restart: docs/fleet.md'],
  differs: ['fleet-differs', 'give all servers the same services, prefixes and longest-window'],
  silent: ['fleet-server-silent', 'see whether pkctld runs there and reaches the engine'],
}

export function checkFleet({ daemon, configuration: { config } }: Facts): Finding[] {
  const running = daemon.state === 'answers' ? (daemon.status as { readonly fleet?: FleetStatus }).fleet : undefined
  const warnings = running ? fleetWarnings(running, Date.now()) : []
  const findings = warnings.map(({ kind, message }) => finding(findingOf[kind][0], message, findingOf[kind][1]))
  const missing = config?.fleet ? missingAtEngine(config.fleet.engine) : []
  if (missing.length === 0) return findings
  return [...findings, finding('fleet-engine-open', openEngineText(missing), "use rediss:// and 'password-file'")]
}
