import { Command } from 'commander'
import { rollBackNow } from '../../safety/index.js'
import type { Terminal } from '../../util/index.js'
import { jsonText } from '../output/json-output.js'

export function rollbackCommand(terminal: Terminal): Command {
  return new Command('rollback')
    .description('undo the change of pkctl apply --confirm now; exit status 1 if no change waits')
    .option('--json', 'print one JSON object')
    .action(async (flags: { json?: boolean }) => {
      const { details } = await rollBackNow()
      if (flags.json) terminal.out(jsonText({ 'rolled-back': true, details }))
      else terminal.out(`the change is rolled back: ${details.join('; ') || 'nothing to undo'}`)
    })
}
