import { Command } from 'commander'
import { loadConfig } from '../../controller/config/load.js'
import { mended } from '../../nft/differences.js'
import type { Change, Rearrangement } from '../../nft/firewall.js'
import type { ServiceSpec } from '../../nft/service.js'
import type { ChangeFlags } from '../change.js'
import { defaultConfig, tellDaemon } from '../change.js'
import { realFirewall } from '../firewall.js'
import type { Terminal } from '../terminal.js'
import { mannerOf } from './list.js'
import { portsText } from './services.js'

interface ApplyFlags extends Omit<ChangeFlags, 'socket'> {
  readonly prune?: boolean
  readonly socket?: string
}

const applyHelp = `
Makes the services in the kernel what the file says, in one transaction; grants that run go on. Services that the file
does not have stay, unless --prune takes them away. Credentials are the daemon's: pkctl reload makes it read them.

Examples:
  pkctl apply --dry-run
  pkctl apply /etc/pkctl/pkctl.yaml --prune`

export function applyCommand(terminal: Terminal): Command {
  return new Command('apply')
    .description('make the services in the kernel what a configuration file says')
    .argument('[file]', 'configuration', defaultConfig)
    .option('--prune', 'take services away that the file does not have')
    .option('--dry-run', 'show the differences and change nothing')
    .option('--json', 'print {"changed": …} and the result as one JSON object')
    .option('--socket <path>', 'where the daemon is told of the change, if it runs (default: as the file says)')
    .addHelpText('after', applyHelp)
    .action((file: string, flags: ApplyFlags) => apply(terminal, file, flags))
}

async function apply(terminal: Terminal, file: string, flags: ApplyFlags): Promise<void> {
  const { config, warnings } = loadConfig(file)
  for (const warning of warnings) terminal.warn(warning)
  const remove = flags.prune ? ('others' as const) : []
  const firewall = realFirewall(flags)
  const result = await firewall.rearrange({ specs: config.services, remove, replace: true })
  if (result.changed) await tellDaemon(terminal, { ...flags, socket: flags.socket ?? config.socket.path })
  if (flags.json) terminal.out(JSON.stringify(asJson(config.file, flags, result)))
  else print(terminal, config.file, flags, result)
}

type Result = Change & { readonly plan: Rearrangement }

function print(terminal: Terminal, file: string, flags: ApplyFlags, { changed, plan }: Result): void {
  for (const spec of plan.added) terminal.difference('+', `service ${summary(spec)}`)
  for (const { spec, differences, sound } of plan.modified) {
    for (const { option, is, shall } of differences) {
      terminal.difference('~', `${spec.name}: ${option} ${is} -> ${shall}`)
    }
    if (!sound) terminal.difference('~', mended(spec.name))
  }
  for (const { spec } of plan.removed) terminal.difference('-', `service ${summary(spec)}`)
  for (const name of plan.left) terminal.out(`  service ${name} is not in the file, and stays; --prune takes it away`)
  if (!changed) terminal.out(`nothing to change: the services are as ${file} says`)
  else terminal.out(flags.dryRun ? 'nothing was changed: --dry-run' : `the services are as ${file} says now`)
}

const summary = (spec: ServiceSpec) => `${spec.name}  ${portsText(spec)}  ${mannerOf(spec)}`

function asJson(file: string, { dryRun }: ApplyFlags, { changed, details, commands, plan }: Result): object {
  return {
    changed,
    details,
    file,
    added: plan.added.map(({ name }) => name),
    modified: plan.modified.map(({ spec }) => spec.name),
    removed: plan.removed.map(({ spec }) => spec.name),
    left: plan.left,
    ...(dryRun ? { 'dry-run': true, transaction: { nftables: commands } } : {}),
  }
}
