import * as os from 'node:os'
import { Command } from 'commander'
import { hostsFile, parseInvitation } from '../../client/index.js'
import { addHostEntry } from '../../client/add-host-entry.js'
import type { Terminal } from '../../util/index.js'
import { oneLine, quote, usageError } from '../../util/index.js'
import { knockCommand } from './knock.js'

const help = `
The line comes from pkctl invite on the server. Write it in single quotes, because & has a meaning for the shell. If the line
has a key, others can read it in the list of processes while the command runs: give - and paste the line instead.

Exit status: 0 the host entry is there, and the knock opened the port; 1 not, 2 wrong usage.

Example:
  pkctl join - --name home`

export function joinCommand(terminal: Terminal): Command {
  return new Command('join')
    .description('add the host entry of an invitation to hosts.yaml, and knock at the server')
    .argument('<line>', 'the line of pkctl invite, or - for stdin')
    .option('--name <entry>', 'name of the host entry (default: the host of the line)')
    .option('--no-knock', 'only add the host entry')
    .addHelpText('after', help)
    .action(async (line: string, flags: { name?: string; knock: boolean }) => {
      const invitation = parseInvitation(line === '-' ? await firstLine() : line)
      const name = checkName(flags.name ?? invitation.host)
      const { changed, file } = addHostEntry(hostsFile(), name, invitation)
      const where = `host entry ${name} in ${oneLine(belowHome(file))}`
      terminal.out(changed ? `new ${where}` : `nothing to do: there is the same ${where}`)
      if (!flags.knock) return
      // As if the user had typed it: with the entry that has just been written.
      await knockCommand(terminal).exitOverride().parseAsync([name, '--verbose'], { from: 'user' })
      terminal.out(`from now on: pkctl knock ${name}`)
    })
}

function belowHome(file: string): string {
  const home = os.homedir()
  return file.startsWith(`${home}/`) ? `~${file.slice(home.length)}` : file
}

function checkName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,252}$/.test(name)) return name
  throw usageError(`${quote(name)} cannot be the name of a host entry`, 'use letters, digits and . _ : -')
}

async function firstLine(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin) {
    text += String(chunk)
    if (text.includes('\n') || text.length > 4096) break
  }
  return text.split('\n', 1)[0] ?? ''
}
