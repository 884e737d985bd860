import { Command } from 'commander'
import { loadConfig } from '../../controller/config/load.js'
import { configJsonSchema } from '../../controller/config/schema.js'
import { defaultConfig } from '../change.js'
import type { Terminal } from '../terminal.js'

export function checkCommand(terminal: Terminal): Command {
  return new Command('check')
    .description('validate the configuration and touch nothing; the exit status tells')
    .option('--config <file>', 'the configuration to check', defaultConfig)
    .option('--schema', 'print the JSON Schema of the configuration, for editors, and check nothing')
    .action((flags: { config: string; schema?: boolean }) => {
      if (flags.schema) {
        terminal.out(JSON.stringify(configJsonSchema(), null, 2))
        return
      }
      const { config, warnings } = loadConfig(flags.config)
      for (const warning of warnings) terminal.warn(warning)
      terminal.out(
        `${config.file} is valid: ${config.services.length} services, ${config.credentials.length} credentials`,
      )
    })
}
