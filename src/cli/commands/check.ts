import * as os from 'node:os'
import { Command } from 'commander'
import { unmatchedInterfaces } from '../../config/host-interfaces.js'
import { hostInterfaces } from '../../net/index.js'
import {
  configJsonSchema,
  daemonUser,
  eachOnce,
  hiddenFiles,
  hiddenKeys,
  loadConfig,
  notingReader,
  unopenedServices,
  unwritablePaths,
} from '../../config/index.js'
import type { Terminal } from '../../util/index.js'
import { count, defaultConfig } from '../../util/index.js'
import { hiddenText, unwritableText } from '../changes/warn-of-unopened.js'
import { keyFingerprints } from '../output/key-fingerprints.js'
import { keyList } from '../output/key-list.js'

export function checkCommand(terminal: Terminal): Command {
  return new Command('check')
    .description('validate the configuration and touch nothing; the exit status tells')
    .option('--config <file>', 'the configuration to check', defaultConfig)
    .option('--schema', 'print the JSON Schema of the configuration, for editors, and check nothing')
    .action(async (flags: { config: string; schema?: boolean }) => {
      if (flags.schema) {
        terminal.out(JSON.stringify(configJsonSchema(), null, 2))
        return
      }
      const files: string[] = []
      const { config, warnings } = loadConfig(flags.config, notingReader(files))
      for (const warning of warnings) terminal.warn(warning)
      for (const { message, advice } of unmatchedInterfaces(config, hostInterfaces(), os.release()))
        terminal.warn(`${message}; ${advice}`)
      const daemon = (process.geteuid?.() === 0 ? daemonUser()?.uid : process.geteuid?.()) ?? 0
      for (const credential of config.credentials) {
        if (credential.type !== 'ssh') continue
        const { lines, problems } = await keyList(credential, daemon)
        for (const problem of problems) terminal.warn(`credentials.${credential.name}: ${problem}`)
        for (const line of lines) terminal.out(line)
      }
      for (const line of keyFingerprints(config.credentials)) terminal.out(line)
      const { files: keys, isHidden } = await hiddenKeys(config)
      if (process.geteuid?.() === 0) {
        for (const hidden of eachOnce([...hiddenFiles(files), ...keys])) terminal.warn(hiddenText(hidden))
        for (const unwritable of unwritablePaths(config)) terminal.warn(unwritableText(unwritable))
      }
      for (const warning of await unopenedServices(config, isHidden)) terminal.warn(warning)
      terminal.out(
        `${config.file} is valid: ${count(config.services.length, 'service')}, ${count(config.credentials.length, 'credential')}`,
      )
    })
}
