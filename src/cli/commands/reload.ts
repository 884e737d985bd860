import { Command } from 'commander'
import { askOrExplain } from '../../daemon/control-client.js'
import { defaultSocket } from '../../util/default-paths.js'
import type { Terminal } from '../../util/terminal.js'

export function reloadCommand(terminal: Terminal): Command {
  return new Command('reload')
    .description('make the daemon read its configuration again; a broken one is refused whole')
    .option('--socket <path>', "the daemon's socket", defaultSocket)
    .action(async (flags: { socket: string }) => {
      const { warnings, details } = (await askOrExplain(flags.socket, 'reload')) as Record<string, string[]>
      for (const warning of warnings ?? []) terminal.warn(warning)
      terminal.out(['reloaded', ...(details ?? [])].join('; '))
    })
}
