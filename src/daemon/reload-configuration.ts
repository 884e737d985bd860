/** Reads the configuration again and applies it, with the log that it names. */
import { loadConfigInForce, unopenedServices } from '../config/index.js'
import type { Config } from '../config/types.js'
import type { Controller, RefusedReload, RunningGrant } from '../controller/index.js'
import { saveServices } from '../controller/ruleset/saved-services.js'
import { count } from '../util/index.js'
import type { Asker } from './asker.js'
import type { DaemonFleet } from './fleet/daemon-fleet.js'
import type { ConfiguredLog } from './winston-log.js'
import type { Notifier } from './notify/notifier.js'
import type { ServiceManager } from './systemd-notify.js'

export interface ReloadParts {
  readonly controller: Pick<Controller, 'reload'>
  /** The configuration's. */
  readonly file: string
  readonly log: ConfiguredLog
  readonly manager: ServiceManager
  readonly notifier: Pick<Notifier, 'use'>
  /** Undefined where there is none. */
  readonly fleet?: Pick<DaemonFleet, 'use'> | undefined
}

/** What became of the last reload. */
export interface Reloads {
  /** null after a good one, or none. */
  refused: RefusedReload | null
}

/** As it goes over the socket. */
export interface ReloadAnswer {
  readonly warnings: readonly string[]
  /** What is different now. */
  readonly details: readonly string[]
  /** Options that changed in the file, and take effect after a restart. */
  readonly needsRestart: readonly string[]
}

export async function reload(
  asker: Asker,
  { controller, file, log, manager, notifier, fleet }: ReloadParts,
): Promise<ReloadAnswer> {
  let state = 'the last configuration was refused, the one before stays active'
  manager.reloading()
  try {
    const loaded = loadConfigInForce(file)
    // Before the ports close, as at the start.
    const unopened = await unopenedServices(loaded.config)
    for (const warning of unopened) log.warn(warning)
    const nextLog = log.prepare(loaded.config.log)
    const { change, config, needsRestart, running } = await controller.reload(loaded.config).catch((error: unknown) => {
      nextLog.drop()
      throw error
    })
    nextLog.use()
    notifier.use(config.notify)
    fleet?.use(config)
    log.info(`configuration reloaded, at the request of ${asker.text}`, {
      ...{ event: 'change', action: 'reload' },
      ...asker.fields,
    })
    const warnings = [...loaded.warnings, ...nextLog.warnings, ...restartWarning(needsRestart), ...keepForBoot(config)]
    warnings.push(...runningWarnings(running))
    // Until the restart the state stays together in the old directory. `pkctl close` at the next boot reads the new one.
    if (needsRestart.includes('state-directory')) warnings.push(...keepForBoot(loaded.config))
    for (const warning of warnings) log.warn(warning)
    state = configurationSummary(config)
    return { warnings: [...warnings, ...unopened], details: change.details, needsRestart }
  } finally {
    manager.ready(state)
  }
}

const restartWarning = (needsRestart: readonly string[]): string[] =>
  needsRestart.length === 0
    ? []
    : [`changes to ${needsRestart.join(', ')} take effect after a restart of pkctld; until then the old values apply`]

/** One for each credential: who has access by it still. */
function runningWarnings(running: readonly RunningGrant[]): string[] {
  return [...new Set(running.map(({ credential }) => credential))].map(credential => {
    const its = running.filter(one => one.credential === credential)
    const some = its.slice(0, maxNamed).map(({ source, service }) => `${source} for ${service}`)
    const more = its.length > maxNamed ? ` and ${its.length - maxNamed} more` : ''
    return `grants of ${credential} run on: ${some.join(', ')}${more}; pkctl revoke ${credential} ends them`
  })
}

const maxNamed = 10

/** Saves the services for the next boot; see `pkctl close`. Returns a warning when that fails. */
export function keepForBoot({ stateDirectory, services }: Config): string[] {
  try {
    saveServices(stateDirectory, services)
    return []
  } catch (error) {
    return [`the services cannot be kept for the next boot: ${(error as Error).message}`]
  }
}

/** For the service manager. */
export const configurationSummary = ({ queue, services, credentials }: Config) =>
  `queue ${queue.number}, ${count(services.length, 'service')}, ${count(credentials.length, 'credential')}`
