import { Command } from 'commander'
import { confirm } from '../../safety/index.js'
import type { Terminal } from '../../util/index.js'
import { durationText } from '../../util/index.js'
import { jsonText } from '../output/json-output.js'
import { logChange } from '../changes/log-change.js'

export function confirmCommand(terminal: Terminal): Command {
  return new Command('confirm')
    .description('keep the change of pkctl apply --confirm; exit status 1 if no change waits, as after a rollback')
    .option('--json', 'print one JSON object')
    .action(async (flags: { json?: boolean }) => {
      const { secondsLeft, daemonSocket } = await confirm()
      await logChange(daemonSocket, 'the change that waited is kept', { action: 'confirm' })
      terminal.out(
        flags.json
          ? jsonText({ confirmed: true, 'seconds-left': secondsLeft })
          : `the change is kept, with ${durationText(secondsLeft)} left`,
      )
    })
}
