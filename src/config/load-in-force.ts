/** The configuration as boot and daemon use it: what was not confirmed before a restart does not count. */
import type { ServiceSpec } from '../nft/index.js'
import { reasonOf } from '../util/index.js'
import { loadConfig } from './load.js'
import type { LoadedConfig } from './types.js'
import { outlivedChange, withoutChange } from './unconfirmed-change.js'

const unconfirmedWarning =
  'a change was not confirmed before the machine restarted, so the services are as they were before it: ' +
  'pkctl confirm makes the change, pkctl rollback undoes it'

/** Throws a ConfigError, as loadConfig. */
export function loadConfigInForce(file: string): LoadedConfig {
  const { config, warnings } = loadConfig(file)
  const { services, warnings: more } = servicesInForce(config.services, file)
  return { config: { ...config, services }, warnings: [...more, ...warnings] }
}

/** Never throws: in doubt, the ports of the configuration are closed. */
export function servicesInForce(
  services: readonly ServiceSpec[],
  file: string,
): { services: readonly ServiceSpec[]; warnings: string[] } {
  try {
    const change = outlivedChange(file)
    return change === undefined
      ? { services, warnings: [] }
      : { services: withoutChange(services, change), warnings: [unconfirmedWarning] }
  } catch (error) {
    return { services, warnings: [`whether a change waits for its confirmation is not known: ${reasonOf(error)}`] }
  }
}
