import { Command } from 'commander'
import { loadConfig } from '../../config/index.js'
import type { Change, ServiceGrant, ServicePlan, ServiceSpec } from '../../nft/index.js'
import { realFirewall, repairedMessage } from '../../nft/index.js'
import type { LockoutFlags } from '../../safety/index.js'
import {
  sessionGrantsJson,
  arm,
  confirm,
  guardSession,
  hintAtSessionGrants,
  refuseWhileUnconfirmed,
  rollbackState,
} from '../../safety/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig } from '../../util/index.js'
import type { ChangeFlags } from '../change.js'
import { tellDaemon } from '../change.js'
import { parseSeconds } from '../flag-values.js'
import { jsonText } from '../json-output.js'
import { withLockoutFlags } from '../lockout-flags.js'
import { logChange } from '../log-change.js'
import { portsText, summaryOf } from '../service-text.js'

interface ApplyFlags extends Omit<ChangeFlags, 'socket'>, LockoutFlags {
  readonly prune?: boolean
  readonly confirm?: string
  readonly socket?: string
}

const applyHelp = `
Makes the services in the kernel what the file says, in one transaction. Active grants continue. Services that the file
does not have stay, unless --prune removes them. Credentials are the daemon's: pkctl reload makes it read them.

With --confirm the change is rolled back after that time unless pkctl confirm keeps it, whatever becomes of the terminal.
Services are then again what they were before, and grants of services that stayed go on.

Examples:
  pkctl apply --dry-run
  pkctl apply --confirm 60s
  pkctl apply /etc/pkctl/pkctl.yaml --prune`

export function applyCommand(terminal: Terminal): Command {
  const command = new Command('apply')
    .description('make the services in the kernel what a configuration file says')
    .argument('[file]', 'configuration', defaultConfig)
    .option('--prune', 'remove services that the file does not have')
    .option('--confirm <time>', 'roll back by itself unless pkctl confirm follows within 1s to 1d, such as 60s')
    .option('--dry-run', 'show the differences and change nothing')
    .option('--json', 'print {"changed": …} and the result as one JSON object')
    .option('--socket <path>', 'socket of the daemon to notify, if it runs (default: from the file)')
    .addHelpText('after', applyHelp)
  return withLockoutFlags(command).action((file: string, flags: ApplyFlags) => apply(terminal, file, flags))
}

async function apply(terminal: Terminal, file: string, flags: ApplyFlags): Promise<void> {
  const seconds = flags.confirm === undefined ? undefined : parseSeconds('--confirm', flags.confirm)
  const { config, warnings } = loadConfig(file)
  for (const warning of warnings) terminal.warn(warning)
  const remove = flags.prune ? ('others' as const) : []
  const daemonSocket = flags.socket ?? config.socket.path
  if (!flags.dryRun) await refuseWhileUnconfirmed()
  const firewall = realFirewall(flags)
  const rollback = { armed: false }
  let sessionGrants: readonly ServiceGrant[] = []
  const prepare = async (plan: ServicePlan) => {
    sessionGrants = await guardSession(terminal, firewall, flags, plan)
    if (seconds !== undefined && !flags.dryRun && (isChange(plan) || sessionGrants.length > 0)) {
      const replaced = await firewall.replacedBy(sessionGrants, plan.before)
      await arm(rollbackState(plan, sessionGrants, replaced, { seconds, daemonSocket }))
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
  if (result.changed) await tellDaemon(terminal, { ...flags, socket: daemonSocket })
  if (result.changed && !flags.dryRun) {
    await logChange(daemonSocket, `the services are as ${config.file} says: ${result.details.join('; ').slice(0, 800)}`)
  }
  const outcome = { ...result, sessionGrants, confirmWithin: rollback.armed ? seconds : undefined }
  if (flags.json) terminal.out(jsonText(asJson(config.file, flags, outcome)))
  else print(terminal, config.file, flags, outcome)
}

const isChange = ({ added, modified, removed }: ServicePlan) => added.length + modified.length + removed.length > 0

interface Result extends Change {
  readonly plan: ServicePlan
  /** Made by --allow-me. */
  readonly sessionGrants: readonly ServiceGrant[]
  /** Seconds. */
  readonly confirmWithin: number | undefined
}

function print(terminal: Terminal, file: string, flags: ApplyFlags, result: Result): void {
  const { changed, plan, sessionGrants, confirmWithin } = result
  for (const spec of plan.added) terminal.difference('+', `service ${summary(spec)}`)
  for (const { spec, differences, sound } of plan.modified) {
    for (const { option, is, wanted } of differences) {
      terminal.difference('~', `${spec.name}: ${option} ${is} -> ${wanted}`)
    }
    if (!sound) terminal.difference('~', repairedMessage(spec.name))
  }
  for (const { spec } of plan.removed) terminal.difference('-', `service ${summary(spec)}`)
  for (const { service, source } of sessionGrants)
    terminal.difference('+', `grant ${source} for ${service}, without a time limit`)
  for (const name of plan.left) terminal.out(`  service ${name} is not in the file, and stays; --prune removes it`)
  if (!changed) terminal.out(`nothing to change: the services are as ${file} says`)
  else terminal.out(flags.dryRun ? 'nothing was changed: --dry-run' : `the services are as ${file} says now`)
  if (!flags.dryRun) hintAtSessionGrants(terminal, sessionGrants)
  if (confirmWithin !== undefined) {
    terminal.out(`pkctl confirm within ${confirmWithin} s keeps it; otherwise all is rolled back`)
  }
}

const summary = (spec: ServiceSpec) => `${spec.name}  ${portsText(spec)}  ${summaryOf(spec)}`

function asJson(file: string, { dryRun }: ApplyFlags, result: Result): object {
  const { changed, details, commands, plan, sessionGrants, confirmWithin } = result
  return {
    changed,
    details,
    file,
    added: plan.added.map(({ name }) => name),
    modified: plan.modified.map(({ spec }) => spec.name),
    removed: plan.removed.map(({ spec }) => spec.name),
    left: plan.left,
    ...sessionGrantsJson(sessionGrants),
    ...(confirmWithin === undefined ? {} : { 'confirm-within': confirmWithin }),
    ...(dryRun ? { 'dry-run': true, transaction: { nftables: commands } } : {}),
  }
}
