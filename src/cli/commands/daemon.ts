import { Command } from 'commander'
import { runDaemon } from '../../daemon/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig } from '../../util/index.js'
import { version } from '../version.js'

const daemonHelp = `
Stays in the foreground. SIGHUP reloads the configuration; SIGUSR1 logs the sources with access, and SIGUSR2 those in the middle
of a sequence; SIGTERM and SIGINT end it: protected ports stay closed, and running grants stay valid until they end.`

export function daemonCommand(_: Terminal): Command {
  return new Command('daemon')
    .description('listen for knocks and grant access (also installed as pkctld)')
    .option('--config <file>', 'configuration', defaultConfig)
    .addHelpText('after', daemonHelp)
    .action((flags: { config: string }) => runDaemon(flags.config, version))
}
