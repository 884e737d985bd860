import { Command } from 'commander'
import { ConfigError } from '../../config/config-error.js'
import { configuredSocket, loadConfig, notingReader, servicesInForce } from '../../config/index.js'
import { savedServices, saveServices } from '../../controller/ruleset/saved-services.js'
import { problemsOf } from '../../daemon/error-messages.js'
import type { ChangeResult, FirewallResult, Firewall, ServiceSpec } from '../../nft/index.js'
import { foreignGrantsWarning, realFirewall } from '../../nft/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, defaultStateDirectory, isAnswering, UserError } from '../../util/index.js'
import type { ChangeFlags } from '../changes/change.js'
import { report, tellDaemon, withConfiguredChangeFlags } from '../changes/change.js'
import { warnOfUnopenedServices } from '../changes/warn-of-unopened.js'
import { portsText } from '../output/service-text.js'

const help = `
Makes the services of the configuration in the kernel, and nothing else: knocks are read by the daemon. Running grants go
on, but those of a table that another program has made, as from a saved ruleset, are removed. When the configuration is
broken, the services of the last good one are closed, and the warnings say so. Exit status 1 only when nothing could be
closed.`

export function closeCommand(terminal: Terminal): Command {
  const command = new Command('close')
    .description('close the ports of the configuration without the daemon, as at boot')
    .option('--config <file>', 'configuration', defaultConfig)
    .addHelpText('after', help)
  return withConfiguredChangeFlags(command).action(async (given: CloseFlags) => {
    const flags = { ...given, socket: given.socket ?? configuredSocket(given.config) }
    const { services: wanted, stateDirectory } = await servicesToClose(flags.config, terminal)
    const { services, warnings } = servicesInForce(wanted, flags.config)
    for (const warning of warnings) terminal.warn(warning)
    // A daemon restores its own table, and the grants that it knows. Its answer is not waited for: the port may be open.
    const takeOver = !(await isAnswering(flags.socket))
    const { change, closed } = await closeAll(realFirewall(flags), services, terminal, takeOver)
    if (stateDirectory !== undefined && !flags.dryRun) keep(stateDirectory, services, terminal)
    await tellDaemon(terminal, flags)
    const names = closed.map(({ name }) => name)
    const sentence = `closed: ${closed.map(spec => `${spec.name} (${portsText(spec)})`).join(', ')}`
    const said = closed.length > 0 ? sentence : 'there are no services'
    await report(terminal, flags, { services: names }, change, said, { action: 'close', services: names })
  })
}

interface CloseFlags extends Omit<ChangeFlags, 'socket'> {
  readonly config: string
  readonly socket?: string
}

interface ServicesToClose {
  readonly services: readonly ServiceSpec[]
  /** Where to keep them; undefined when they are not worth it. */
  readonly stateDirectory?: string
}

/** What the configuration says; else what the last good one said; else what can be read of the broken one. */
async function servicesToClose(file: string, terminal: Terminal): Promise<ServicesToClose> {
  try {
    const files: string[] = []
    const { config, warnings } = loadConfig(file, notingReader(files))
    for (const warning of warnings) terminal.warn(warning)
    await warnOfUnopenedServices(terminal, config, files)
    return config
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const kept = savedServices(error.readable.stateDirectory ?? defaultStateDirectory)
    const isKept = kept !== undefined && kept.length > 0
    const services = isKept ? kept : error.readable.services
    if (services.length === 0) throw error
    for (const { message } of problemsOf(error)) terminal.warn(message)
    const which = isKept ? 'services of the last good configuration' : 'services that can be read'
    terminal.warn(`the configuration cannot be used; the ${which} are closed instead`)
    return { services }
  }
}

/** All at once; and if the kernel refuses that, as many as it takes. */
async function closeAll(
  firewall: Firewall,
  services: readonly ServiceSpec[],
  terminal: Terminal,
  takeOver: boolean,
): Promise<{ change: FirewallResult; closed: readonly ServiceSpec[] }> {
  const tell = (change: ChangeResult) => {
    if (change.removed > 0) terminal.warn(foreignGrantsWarning(change.removed, firewall.dryRun))
    return change
  }
  try {
    return { change: tell(await firewall.ensureServices(services, true, takeOver)), closed: services }
  } catch (error) {
    if (services.length < 2) throw error
    const changes: FirewallResult[] = []
    const closed: ServiceSpec[] = []
    for (const spec of services) {
      try {
        changes.push(tell(await firewall.ensureServices([spec], false, takeOver)))
        closed.push(spec)
      } catch (cause) {
        for (const { message } of problemsOf(cause)) terminal.warn(`service ${spec.name} is NOT closed: ${message}`)
      }
    }
    if (closed.length === 0) throw new UserError('nothing could be closed', undefined, 1)
    return {
      change: {
        changed: changes.some(({ changed }) => changed),
        details: changes.flatMap(({ details }) => details),
        commands: changes.flatMap(({ commands }) => commands),
      },
      closed,
    }
  }
}

function keep(directory: string, services: readonly ServiceSpec[], terminal: Terminal): void {
  try {
    saveServices(directory, services)
  } catch (error) {
    terminal.warn(`the services cannot be kept for the next boot in ${directory}: ${(error as Error).message}`)
  }
}
