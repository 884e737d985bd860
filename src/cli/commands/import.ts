import { Command } from 'commander'
import { importFrom, writeFiles } from '../../import/index.js'
import type { Terminal } from '../../util/index.js'
import { expandHome, oneLine } from '../../util/index.js'

interface ImportFlags {
  readonly output?: string
  readonly keys?: string
  readonly force?: boolean
}

const help = `
Systems:
  knockd FILE          /etc/knockd.conf
  nf-pkd DIR           action files, *.json in it and in the directories below
  nfqknockd -- ARGS    the arguments that it is started with
  knockd-helper FILE   a script with pktables init
  fwknop FILE          /etc/fwknop/access.conf, and fwknopd.conf beside it
  ipt_pkd FILE         what iptables-save prints
  ipt_pkd.ini FILE     hosts of its client, as a hosts.yaml
FILE can be - for stdin. pkctl writes what it cannot convert as comments into the YAML. It also prints a warning if that
changes who has access, or when.

Examples:
  pkctl import knockd /etc/knockd.conf
  pkctl import nf-pkd /etc/nf-pkd/actions.d --output /etc/pkctl/pkctl.yaml
  iptables-save | pkctl import ipt_pkd -`

export function importCommand(terminal: Terminal): Command {
  return new Command('import')
    .description('print the configuration of another system as one of pkctl')
    .argument('<system>', 'knockd, nf-pkd, nfqknockd, knockd-helper, fwknop, ipt_pkd or ipt_pkd.ini')
    .argument('[source...]', 'file, directory, or arguments')
    .option('--output <file>', 'a new file for it, not readable by other users (default: print it)')
    .option(
      '--keys <dir>',
      'write each key into a file in this directory, not readable by other users, instead of the YAML',
    )
    .option('--force', 'overwrite existing files')
    .addHelpText('after', help)
    .action((system: string, source: string[], flags: ImportFlags) => {
      const { yaml, warnings, files, isEmpty, nothing } = importFrom(system, source, flags.keys)
      if (isEmpty) {
        for (const warning of warnings) terminal.warn(warning)
        throw nothing
      }
      const target = flags.output === undefined ? [] : [{ path: expandHome(flags.output), content: yaml }]
      writeFiles([...files, ...target], flags.force ?? false)
      for (const warning of warnings) terminal.warn(warning)
      if (flags.output === undefined) terminal.out(yaml.trimEnd())
      else terminal.out(`${oneLine(flags.output)} is written`)
    })
}
