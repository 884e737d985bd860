import { Argument, Command } from 'commander'
import type { Terminal } from '../../util/index.js'
import { commandTree } from '../command-tree.js'
import type { Shell } from '../completion-script.js'
import { completionFor, shells } from '../completion-script.js'

const help = `
The packages install it where shells look for it. Without them, for instance:
  pkctl completion bash > /etc/bash_completion.d/pkctl
  pkctl completion zsh > /usr/local/share/zsh/site-functions/_pkctl
  pkctl completion fish > ~/.config/fish/completions/pkctl.fish`

export function completionCommand(terminal: Terminal): Command {
  return new Command('completion')
    .description('print what lets a shell complete commands, options and services')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .addHelpText('after', help)
    .action((shell: Shell, _, command: Command) => {
      terminal.out(completionFor(shell, commandTree(command.parent as Command)).trimEnd())
    })
}
