/** What a configuration leaves undone, for the log. */
import type { Config, Credential } from '../../config/types.js'
import type { Firewall } from '../../nft/index.js'
import type { Granted } from './knock-messages.js'
import type { Log } from './log-interface.js'

/** Credentials may name services that only a command creates. */
export function warnOfMissingServices(
  credentials: readonly Credential[],
  granted: ReadonlyMap<string, Granted>,
  log: Log,
): void {
  for (const { name, opens, closes } of credentials) {
    const there = granted.get(name)?.map(({ service }) => service.name)
    const missing = [...opens, ...closes].filter(service => !there?.includes(service))
    if (missing.length === 0) continue
    log.warn(
      `credential ${name} names services that do not exist: ${missing.join(', ')}; add them to the configuration, or make them with pkctl init`,
      { credential: name },
    )
  }
}

/** A service that is removed from the configuration stays in the kernel: editing a file must not open a port. */
export async function warnOfOrphans(
  before: Config,
  after: Config,
  firewall: Pick<Firewall, 'services'>,
  log: Log,
): Promise<void> {
  const kept = new Set(after.services.map(({ name }) => name))
  const services = await firewall.services()
  for (const { name } of before.services.filter(service => !kept.has(service.name) && services.has(service.name))) {
    log.warn(`service ${name} is no longer in the configuration; its port stays closed until pkctl remove ${name}`, {
      service: name,
    })
  }
}

/** The names of credentials by which no one can knock any more. */
export function endedCredentials(before: Config, after: Config): string[] {
  const enabled = new Set(after.credentials.filter(one => one.enabled).map(({ name }) => name))
  return before.credentials.filter(one => one.enabled && !enabled.has(one.name)).map(({ name }) => name)
}
