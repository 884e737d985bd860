import { Argument, Command, Option } from 'commander'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, defaultSocket, usageError } from '../../util/index.js'
import type { CommandNode, NameKind } from '../help/command-tree.js'
import { commandTree, nameKinds } from '../help/command-tree.js'
import type { Shell } from '../help/completion-script.js'
import { completionFor, shells } from '../help/completion-script.js'

const programs = ['pkctl', 'pkctld', 'pktables'] as const

interface Flags {
  readonly program: (typeof programs)[number]
  readonly names?: NameKind
  readonly config: string
  readonly socket: string
}

const help = `
The packages install it where shells look for it. Without them, for instance:
  pkctl completion bash > /etc/bash_completion.d/pkctl
  pkctl completion zsh > /usr/local/share/zsh/site-functions/_pkctl
  pkctl completion fish > ~/.config/fish/completions/pkctl.fish

The scripts call pkctl completion --names for what is known on this machine alone.`

export function completionCommand(terminal: Terminal): Command {
  return new Command('completion')
    .description('print what lets a shell complete commands, options and names')
    .addArgument(new Argument('[shell]', 'the shell').choices(shells))
    .addOption(new Option('--program <program>', 'the program to complete').choices(programs).default('pkctl'))
    .addOption(new Option('--names <kind>', 'print the names of this kind instead, each on a line').choices(nameKinds))
    .option('--config <file>', 'configuration, for --names', defaultConfig)
    .option('--socket <path>', 'socket of the daemon, for --names', defaultSocket)
    .addHelpText('after', help)
    .action(async (shell: Shell | undefined, { program, names, config, socket }: Flags, command: Command) => {
      if (names !== undefined) {
        const { completionNames } = await import('../help/completion-names.js')
        for (const name of await completionNames(names, config, socket)) terminal.out(name)
        return
      }
      if (shell === undefined) throw usageError('the shell is missing', `name ${shells.join(', ')}`)
      terminal.out(completionFor(shell, await treeOf(program, command.parent as Command, terminal)).trimEnd())
    })
}

async function treeOf(program: Flags['program'], pkctl: Command, terminal: Terminal): Promise<CommandNode> {
  if (program === 'pktables') return commandTree((await import('../pktables-program.js')).createPktables(terminal))
  const tree = commandTree(pkctl)
  const daemon = tree.commands.find(({ name }) => name === 'daemon')
  return program === 'pkctld' && daemon ? { ...daemon, name: program } : tree
}
