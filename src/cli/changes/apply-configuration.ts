/** The services of a configuration in the kernel, guarded against a lockout and, if wanted, until a confirmation. */
import { loadConfig, notingReader } from '../../config/index.js'
import type { UnconfirmedChange } from '../../config/unconfirmed-change.js'
import { removeUnconfirmed, writtenChange } from '../../config/unconfirmed-change.js'
import { savedCopy } from '../../controller/ruleset/saved-services.js'
import type { FirewallResult, ServiceGrant, ServicePlan } from '../../nft/index.js'
import { realFirewall } from '../../nft/index.js'
import type { LockoutFlags } from '../../safety/index.js'
import { arm, confirm, guardSession, refuseWhileUnconfirmed, rollbackState } from '../../safety/index.js'
import type { Terminal } from '../../util/index.js'
import { tellDaemon } from './change.js'
import { withComment } from './grant-note.js'
import { logChange } from './log-change.js'
import { grantedText } from '../output/service-text.js'
import { warnOfUnopenedServices } from './warn-of-unopened.js'

interface ApplyOptions extends LockoutFlags {
  readonly prune?: boolean
  /** Seconds until a change that is not confirmed is rolled back. */
  readonly confirmWithin?: number | undefined
  /** What the change makes outside of the ruleset, and a rollback undoes. */
  readonly around?: Pick<UnconfirmedChange, 'added' | 'files' | 'units'> & {
    /** Of what the caller has written before. */
    readonly mark: string | undefined
  }
  /** Of the daemon to notify; by default that of the configuration. */
  readonly socket?: string
}

export interface Applied extends FirewallResult {
  /** Of the configuration. */
  readonly file: string
  readonly plan: ServicePlan
  /** Of the daemon. */
  readonly socket: string
  /** Made by --allow-me. */
  readonly sessionGrants: readonly ServiceGrant[]
  /** Seconds; undefined where nothing waits for a confirmation. */
  readonly confirmWithin: number | undefined
}

/** Throws what makes it impossible; nothing is changed then. */
export async function applyConfiguration(terminal: Terminal, file: string, options: ApplyOptions): Promise<Applied> {
  const { confirmWithin: seconds, around } = options
  const files: string[] = []
  const { config, warnings } = loadConfig(file, notingReader(files))
  for (const warning of warnings) terminal.warn(warning)
  await warnOfUnopenedServices(terminal, config, files)
  const remove = options.prune ? ('others' as const) : []
  const daemonSocket = options.socket ?? config.socket.path
  if (!options.dryRun) await refuseWhileUnconfirmed(config.file)
  const earlier = options.dryRun ? undefined : writtenChange(config.file)
  const firewall = realFirewall(options)
  const rollback = { armed: false }
  let sessionGrants: readonly ServiceGrant[] = []
  const prepare = async (plan: ServicePlan) => {
    sessionGrants = await withComment(await guardSession(terminal, firewall, options, plan))
    if (seconds !== undefined && !options.dryRun && (around || isChange(plan) || sessionGrants.length > 0)) {
      const replaced = await firewall.replacedBy(sessionGrants, plan.before)
      const kept = around ? [savedCopy(config.stateDirectory)] : []
      const outside = { files: [...(around?.files ?? []), ...kept], units: around?.units ?? noUnits }
      const of = { seconds, daemonSocket, config: config.file, ...outside }
      const warning = await arm(rollbackState(plan, sessionGrants, replaced, of), around)
      if (warning !== undefined) terminal.warn(warning)
      rollback.armed = true
    }
    return sessionGrants
  }
  const work = firewall.apply({ specs: config.services, remove, replace: true, prepare })
  const result = await work.catch(async (error: unknown) => {
    // Nothing was changed; if this fails as well, there will be nothing to roll back.
    if (rollback.armed) await confirm().catch(() => undefined)
    throw error
  })
  const { plan } = result
  if (result.changed && !options.dryRun) {
    await tellDaemon(terminal, { socket: daemonSocket })
    const services = [...plan.added, ...plan.modified.map(({ spec }) => spec), ...plan.removed.map(({ spec }) => spec)]
    const sentence = `the services are as ${config.file} says: ${result.details.join('; ').slice(0, 800)}`
    await logChange(daemonSocket, sentence, { action: 'apply', services: services.map(({ name }) => name) })
    for (const { service, source, secondsLeft: seconds } of sessionGrants)
      await logChange(daemonSocket, grantedText(source, service, seconds), { action: 'add', service, source, seconds })
  }
  // A change of an earlier boot is decided by this one, but not what another command has begun meanwhile.
  if (!rollback.armed) removeUnconfirmed(config.file, earlier?.mark)
  const confirmWithin = rollback.armed ? seconds : undefined
  return { ...result, file: config.file, socket: daemonSocket, sessionGrants, confirmWithin }
}

const noUnits = { enabled: [], started: [] }

const isChange = ({ added, modified, removed }: ServicePlan) => added.length + modified.length + removed.length > 0
