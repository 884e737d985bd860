import { Command } from 'commander'
import { configuredSocket } from '../../config/index.js'
import { realFirewall } from '../../nft/index.js'
import { rollBackLeft, rollBackNow, rollBackOutlived } from '../../safety/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, oneLine } from '../../util/index.js'
import { jsonText } from '../output/json-output.js'
import { logChange } from '../changes/log-change.js'

export function rollbackCommand(terminal: Terminal): Command {
  return new Command('rollback')
    .description('undo the change of pkctl apply --confirm now; exit status 1 if no change waits')
    .option(
      '--config <file>',
      'configuration file; needed only if the machine restarted while a change waited',
      defaultConfig,
    )
    .option('--socket <path>', 'socket of the daemon to notify, if it runs (default: from the file)')
    .option('--json', 'print one JSON object')
    .action(async (given: { config: string; socket?: string; json?: boolean }) => {
      const flags = { ...given, socket: given.socket ?? configuredSocket(given.config) }
      const outlived = await rollBackOutlived(flags.config, flags.socket)
      if (outlived !== undefined) {
        const sentence = 'the services are as they were before the change, which was not confirmed before the restart'
        await logChange(flags.socket, sentence, { action: 'rollback' })
        if (flags.json) terminal.out(jsonText({ 'rolled-back': true, details: [] }))
        else terminal.out(sentence)
        if (outlived === 'written by hand')
          terminal.hint(`${oneLine(flags.config)} still has the change: correct it, then run pkctl apply`)
        return
      }
      const left = await rollBackLeft(realFirewall(), flags.config, flags.socket)
      const { details, daemonSocket } =
        left === undefined ? await rollBackNow() : { details: left, daemonSocket: flags.socket }
      const sentence = `the change is rolled back: ${details.join('; ') || 'nothing to undo'}`
      await logChange(daemonSocket, sentence.slice(0, 800), { action: 'rollback' })
      if (flags.json) terminal.out(jsonText({ 'rolled-back': true, details }))
      else terminal.out(sentence)
    })
}
