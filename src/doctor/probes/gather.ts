/** Everything that `pkctl doctor` looks at, and nothing of it changed. */
import { hostInterfaces } from '../../net/index.js'
import { configuredSocket, daemonUser } from '../../config/index.js'
import { realFirewall } from '../../nft/index.js'
import { findSession } from '../../safety/index.js'
import type { Facts } from '../facts.js'
import { notebook } from './not-inspected.js'
import { clockState } from './probe-clock.js'
import { configurationFacts, filesOf } from './probe-configuration.js'
import { daemonFacts, userOf } from './probe-daemon.js'
import { machineFacts } from './probe-machine.js'
import { kernelFacts } from './probe-ruleset.js'
import { savedRules } from './probe-saved-rules.js'

const defaultQueue = 62
const root = 0

/** `socket` instead of the one that the configuration names. */
export async function gatherFacts(file: string, socket: string | undefined): Promise<Facts> {
  const { entries, note } = notebook()
  const configuration = await configurationFacts(file, note)
  const { config } = configuration
  const at = socket ?? config?.socket.path ?? configuredSocket(file)
  const [machine, daemon, kernel] = await Promise.all([
    machineFacts(realFirewall({ dryRun: true }), note),
    daemonFacts(at, config?.queue.number ?? defaultQueue, note),
    kernelFacts(config, note),
  ])
  const service = daemonUser()
  // The user of the service is one of the trusted, whether the daemon runs or not.
  const users = [userOf(daemon), service?.uid].filter(user => user !== undefined)
  return {
    machine,
    daemon,
    configuration,
    kernel,
    saved: savedRules(),
    interfaces: hostInterfaces(),
    clock: clockState(),
    files: filesOf(configuration, at),
    session: findSession() ?? null,
    trusted: [...new Set([root, ...users])],
    daemonGroup: service?.gid ?? null,
    notSeen: entries,
  }
}
