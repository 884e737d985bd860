/** The command line as a whole: names, help, and how every failure becomes one line and an exit status. */
import { Command, CommanderError } from 'commander'
import { applyCommand, confirmCommand } from './commands/apply.js'
import { checkCommand } from './commands/check.js'
import { closeCommand } from './commands/close.js'
import { completionCommand } from './commands/completion.js'
import { connectCommand } from './commands/connect.js'
import { daemonCommand } from './commands/daemon.js'
import { doctorCommand } from './commands/doctor.js'
import { addCommand, deleteCommand } from './commands/grants.js'
import { importCommand } from './commands/import.js'
import { keygenCommand } from './commands/keygen.js'
import { knockCommand } from './commands/knock.js'
import { listCommand } from './commands/list.js'
import { reloadCommand } from './commands/reload.js'
import { sequenceCommand } from './commands/sequence.js'
import { initCommand, removeCommand } from './commands/services.js'
import { statusCommand } from './commands/status.js'
import { exitStatusOf, problemsOf } from './problems.js'
import type { Terminal } from './terminal.js'
import { version } from './version.js'

const help = `
Examples:
  pkctl init ssh --port 22 --syn          close port 22 for all but those who knock
  pkctl add 192.0.2.7 --service ssh --for 8h
  pkctl list ssh                          who may in, and for how long
  pkctl knock server.example --tag SSHK --key-file ~/.config/pkctl/key --connect 22

Exit status: 0 done, or nothing to do; 1 failed; 2 wrong usage.
pkctl(1) closes ports by nftables; pkctld(8), or pkctl daemon, listens for knocks.`

export function createProgram(terminal: Terminal): Command {
  const program = new Command('pkctl')
    .description('Keeps ports closed in the kernel until their users knock.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', help)
    .enablePositionalOptions()
    .showSuggestionAfterError()
  const commands = [
    initCommand,
    removeCommand,
    applyCommand,
    confirmCommand,
    addCommand,
    deleteCommand,
    listCommand,
    statusCommand,
    knockCommand,
    connectCommand,
    keygenCommand,
    sequenceCommand,
    daemonCommand,
    reloadCommand,
    checkCommand,
    importCommand,
    doctorCommand,
    closeCommand,
    completionCommand,
  ]
  for (const make of commands) program.addCommand(make(terminal))
  return program
}

/** Runs one command line, without the program's own name, and resolves to the exit status. */
export function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  return runProgram(createProgram(terminal), argv, terminal, 'status')
}

/** `main` for any program; `whenEmpty` is the command that an empty line stands for. */
export async function runProgram(
  program: Command,
  argv: readonly string[],
  terminal: Terminal,
  whenEmpty: string,
): Promise<number> {
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ outputError: text => commanderError(text, terminal) })
  }
  try {
    await program.parseAsync(argv.length === 0 ? [whenEmpty] : [...argv], { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    return explain(error, terminal)
  }
}

// Commander says "error: …" and, on lines of their own, suggestions in brackets.
function commanderError(text: string, terminal: Terminal): void {
  const [message = '', ...rest] = text.trim().split('\n')
  terminal.error(message.replace(/^error: /, ''))
  for (const line of rest) terminal.hint(line.replace(/^\((.*)\)$/, '$1').toLowerCase())
}

function explain(error: unknown, terminal: Terminal): number {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  for (const { message, hint } of problemsOf(error)) {
    terminal.error(message)
    if (hint !== undefined) terminal.hint(hint)
  }
  return exitStatusOf(error)
}
