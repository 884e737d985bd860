/** Reads the configuration again and applies it, with the log that it names. */
import { loadConfig } from '../config/load.js'
import type { Config } from '../config/types.js'
import type { Controller } from '../controller/controller.js'
import type { Log } from '../controller/log.js'
import { saveServices } from '../controller/saved-services.js'
import type { ConfiguredLog } from './log.js'
import type { ServiceManager } from './service-manager.js'

export interface ReloadParts {
  readonly controller: Pick<Controller, 'reload'>
  /** The configuration's. */
  readonly file: string
  readonly log: ConfiguredLog
  readonly manager: ServiceManager
}

export async function reload(asker: string, { controller, file, log, manager }: ReloadParts) {
  let state = 'the last configuration was refused, the one before is in force'
  manager.reloading()
  try {
    const { config, warnings } = loadConfig(file)
    const nextLog = log.prepare(config.log)
    const { details } = await controller.reload(config).catch((error: unknown) => {
      nextLog.drop()
      throw error
    })
    nextLog.use()
    for (const warning of warnings) log.warn(warning)
    log.info('configuration reloaded', { asker })
    keepForBoot(config, log)
    state = summaryOf(config)
    return { warnings, details }
  } finally {
    manager.ready(state)
  }
}

/** For the next boot; see `pkctl close`. */
export function keepForBoot({ stateDirectory, services }: Config, log: Log): void {
  try {
    saveServices(stateDirectory, services)
  } catch (error) {
    log.warn(`the services cannot be kept for the next boot: ${(error as Error).message}`)
  }
}

/** For the service manager. */
export const summaryOf = ({ queue, services, credentials }: Config) =>
  `knocks come by queue ${queue.number}; ${services.length} services, ${credentials.length} credentials`
