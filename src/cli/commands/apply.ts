import { Command } from 'commander'
import type { ServiceSpec } from '../../nft/index.js'
import { repairedMessage } from '../../nft/index.js'
import type { LockoutFlags } from '../../safety/index.js'
import { sessionGrantsJson, hintAtSessionGrants } from '../../safety/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, durationText, timeText } from '../../util/index.js'
import type { Applied } from '../changes/apply-configuration.js'
import { applyConfiguration } from '../changes/apply-configuration.js'
import type { ChangeFlags } from '../changes/change.js'
import { parseSeconds } from '../flags/flag-values.js'
import { jsonText } from '../output/json-output.js'
import { withLockoutFlags } from '../flags/lockout-flags.js'
import { portsText, serviceSummary } from '../output/service-text.js'

interface ApplyFlags extends Omit<ChangeFlags, 'socket'>, LockoutFlags {
  readonly prune?: boolean
  readonly confirm?: string
  readonly socket?: string
}

const applyHelp = `
Makes the services in the kernel what the file says, in one transaction. Active grants continue. Services that the file
does not have stay, unless --prune removes them. Credentials are the daemon's: pkctl reload makes it read them.

With --confirm the change is rolled back after that time unless pkctl confirm keeps it, whatever becomes of the terminal. pkctl rollback undoes it at
once.
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
  const confirmWithin = flags.confirm === undefined ? undefined : parseSeconds('--confirm', flags.confirm)
  const applied = await applyConfiguration(terminal, file, { ...flags, confirmWithin })
  if (flags.json) terminal.out(jsonText(asJson(flags, applied)))
  else print(terminal, flags, applied)
}

function print(terminal: Terminal, flags: ApplyFlags, applied: Applied): void {
  const { changed, file, plan, sessionGrants, confirmWithin } = applied
  for (const spec of plan.added) terminal.difference('+', `service ${summary(spec)}`)
  for (const { spec, differences, sound } of plan.modified) {
    for (const { option, is, wanted } of differences) {
      terminal.difference('~', `${spec.name}: ${option} ${is} -> ${wanted}`)
    }
    if (!sound) terminal.difference('~', repairedMessage(spec.name))
  }
  for (const { spec } of plan.removed) terminal.difference('-', `service ${summary(spec)}`)
  for (const { service, source, secondsLeft } of sessionGrants)
    terminal.difference('+', `grant ${source} for ${service}, ${timeText(secondsLeft)}`)
  for (const name of plan.left) terminal.out(`  service ${name} is not in the file, and stays; --prune removes it`)
  if (!changed) terminal.out(`nothing to change: the services are as ${file} says`)
  else terminal.out(flags.dryRun ? 'nothing was changed: --dry-run' : `the services are as ${file} says now`)
  if (!flags.dryRun) hintAtSessionGrants(terminal, sessionGrants)
  if (confirmWithin !== undefined) {
    terminal.out(`pkctl confirm within ${durationText(confirmWithin)} keeps it; otherwise all is rolled back`)
  }
}

const summary = (spec: ServiceSpec) => `${spec.name}  ${portsText(spec)}  ${serviceSummary(spec)}`

function asJson({ dryRun }: ApplyFlags, applied: Applied): object {
  const { changed, file, details, commands, plan, sessionGrants, confirmWithin } = applied
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
