import { Command } from 'commander'
import { askOrExplain } from '../../daemon/control-client.js'
import type { ReloadAnswer } from '../../daemon/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultSocket } from '../../util/index.js'
import { whoAsks } from '../changes/who-asks.js'

export function reloadCommand(terminal: Terminal): Command {
  return new Command('reload')
    .description('make the daemon read its configuration again; a broken one is refused whole')
    .option('--socket <path>', "the daemon's socket", defaultSocket)
    .action(async (flags: { socket: string }) => {
      const { warnings, details, needsRestart } = (await askOrExplain(flags.socket, {
        ...{ request: 'reload', by: await whoAsks() },
      })) as ReloadAnswer
      for (const warning of warnings) terminal.warn(warning)
      if (needsRestart.length > 0) terminal.hint('systemctl restart pkctld applies them')
      terminal.out(['reloaded', ...details].join('; '))
    })
}
