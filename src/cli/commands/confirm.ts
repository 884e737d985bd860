import { Command } from 'commander'
import { configuredSocket } from '../../config/index.js'
import { confirm, confirmOutlived } from '../../safety/index.js'
import type { Terminal } from '../../util/index.js'
import { ask, defaultConfig, durationText, oneLine } from '../../util/index.js'
import { jsonText } from '../output/json-output.js'
import { logChange } from '../changes/log-change.js'

interface GivenFlags {
  readonly config: string
  readonly socket?: string
  readonly json?: boolean
}

export function confirmCommand(terminal: Terminal): Command {
  return new Command('confirm')
    .description('keep the change of pkctl apply --confirm; exit status 1 if no change waits, as after a rollback')
    .option(
      '--config <file>',
      'configuration file; needed only if the machine restarted while a change waited',
      defaultConfig,
    )
    .option('--socket <path>', 'socket of the daemon, which applies such a change (default: from the file)')
    .option('--json', 'print one JSON object')
    .action(async (given: GivenFlags) => {
      const flags = { ...given, socket: given.socket ?? configuredSocket(given.config) }
      const outlived = await confirmOutlived(flags.config)
      if (outlived !== undefined) {
        // Also where the process was only killed: it may have rolled the services back before.
        await makeNow(terminal, flags)
        const sentence = keptText[outlived]
        await logChange(flags.socket, sentence, { action: 'confirm' })
        terminal.out(flags.json ? jsonText({ confirmed: true, 'seconds-left': null }) : sentence)
        return
      }
      const { secondsLeft, daemonSocket } = await confirm()
      await logChange(daemonSocket, 'the change that waited is kept', { action: 'confirm' })
      terminal.out(
        flags.json
          ? jsonText({ confirmed: true, 'seconds-left': secondsLeft })
          : `the change is kept, with ${durationText(secondsLeft)} left`,
      )
    })
}

const keptText = {
  restart: 'the change from before the restart is kept',
  process: 'the change is kept; the process that waited to roll it back is gone',
}

/** The daemon makes the services as the configuration says. Without it, `pkctl apply` does. */
async function makeNow(terminal: Terminal, { config, socket }: { config: string; socket: string }): Promise<void> {
  const answer = await ask(socket, { request: 'reload' }).catch(() => undefined)
  if (answer?.ok) return
  terminal.warn('pkctld has not applied the change')
  terminal.hint(`pkctl apply ${oneLine(config)} makes the services`)
}
