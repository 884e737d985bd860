import { Command } from 'commander'
import { rollBackNow } from '../../safety/index.js'
import type { Terminal } from '../../util/index.js'
import { jsonText } from '../output/json-output.js'
import { logChange } from '../changes/log-change.js'

export function rollbackCommand(terminal: Terminal): Command {
  return new Command('rollback')
    .description('undo the change of pkctl apply --confirm now; exit status 1 if no change waits')
    .option('--json', 'print one JSON object')
    .action(async (flags: { json?: boolean }) => {
      const { details, daemonSocket } = await rollBackNow()
      const sentence = `the change is rolled back: ${details.join('; ') || 'nothing to undo'}`
      await logChange(daemonSocket, sentence.slice(0, 800), { action: 'rollback' })
      if (flags.json) terminal.out(jsonText({ 'rolled-back': true, details }))
      else terminal.out(sentence)
    })
}
