/** The command line as a whole: names, help, and how every failure becomes one line and an exit status. */
import { Command, CommanderError } from 'commander'
import { exitStatusOf, problemsOf } from '../daemon/problems.js'
import type { Terminal } from '../util/index.js'
import { JsonTerminal } from './json.js'
import { version } from './version.js'

const help = `
Examples:
  pkctl init ssh --port 22 --syn          close port 22 for all but those who knock
  pkctl add 192.0.2.7 --service ssh --for 8h
  pkctl list ssh                          which sources have access, and for how long
  pkctl knock server.example --tag SSHK --key-file ~/.config/pkctl/key --connect 22

Exit status: 0 done, or nothing to do; 1 failed; 2 wrong usage.
pkctl(1) closes ports by nftables; pkctld(8), or pkctl daemon, listens for knocks.`

type MakeCommand = (terminal: Terminal) => Command

/**
 * In the order of the help. Loaded one by one: cron and knockd call one command at a time, and most need little of what
 * the others do.
 */
const commands: Readonly<Record<string, () => Promise<MakeCommand>>> = {
  init: async () => (await import('./commands/init.js')).initCommand,
  remove: async () => (await import('./commands/remove.js')).removeCommand,
  apply: async () => (await import('./commands/apply.js')).applyCommand,
  confirm: async () => (await import('./commands/confirm.js')).confirmCommand,
  add: async () => (await import('./commands/add.js')).addCommand,
  delete: async () => (await import('./commands/delete.js')).deleteCommand,
  list: async () => (await import('./commands/list.js')).listCommand,
  status: async () => (await import('./commands/status.js')).statusCommand,
  knock: async () => (await import('./commands/knock.js')).knockCommand,
  connect: async () => (await import('./commands/connect.js')).connectCommand,
  keygen: async () => (await import('./commands/keygen.js')).keygenCommand,
  sequence: async () => (await import('./commands/sequence.js')).sequenceCommand,
  daemon: async () => (await import('./commands/daemon.js')).daemonCommand,
  reload: async () => (await import('./commands/reload.js')).reloadCommand,
  check: async () => (await import('./commands/check.js')).checkCommand,
  import: async () => (await import('./commands/import.js')).importCommand,
  doctor: async () => (await import('./commands/doctor.js')).doctorCommand,
  close: async () => (await import('./commands/close.js')).closeCommand,
  completion: async () => (await import('./commands/completion.js')).completionCommand,
}

const all = Object.values(commands)
/** These with all commands. */
const needAll = new Set(['completion'])
const needNone = new Set(['-V', '--version'])

/** The program with the command that a line begins with; with all of them for every other line, such as `--help`. */
export async function createProgram(terminal: Terminal, first = ''): Promise<Command> {
  const program = new Command('pkctl')
    .description('Keeps ports closed in the kernel until their users knock.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', help)
    .enablePositionalOptions()
    .showSuggestionAfterError()
  const isOne = Object.hasOwn(commands, first) && !needAll.has(first)
  const makers = isOne ? [commands[first] as () => Promise<MakeCommand>] : needNone.has(first) ? [] : all
  for (const load of makers) program.addCommand((await load())(terminal))
  return program
}

/** Runs one command line, without the program's own name, and resolves to the exit status. */
export async function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  const line = argv.length === 0 ? ['status'] : argv
  return runProgram(speaker => createProgram(speaker, line[0]), line, terminal)
}

/** `main` for any program. */
export async function runProgram(
  create: (terminal: Terminal) => Command | Promise<Command>,
  argv: readonly string[],
  inner: Terminal,
): Promise<number> {
  const json = new JsonTerminal(inner)
  const { terminal } = json
  const program = await create(terminal)
  json.useJson(program, argv)
  const status = await run(program, argv, terminal)
  json.end(status)
  return status
}

async function run(program: Command, argv: readonly string[], terminal: Terminal): Promise<number> {
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ outputError: text => commanderError(text, terminal) })
  }
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    return explain(error, terminal)
  }
}

// Commander says "error: …" and, on lines of their own, suggestions in brackets.
function commanderError(text: string, terminal: Terminal): void {
  const [message = '', ...rest] = text.trim().split('\n')
  terminal.error(withoutValue(message.replace(/^error: /, '')))
  const other = /^unknown command '([a-z]+)'$/.exec(message.replace(/^error: /, ''))?.[1] ?? ''
  const meant = Object.hasOwn(synonyms, other) ? synonyms[other] : undefined
  if (meant !== undefined) terminal.hint(`did you mean ${meant}?`)
  else for (const line of rest) terminal.hint(line.replace(/^\((.*)\)$/, '$1').toLowerCase())
}

/** Words of other programs. A command that opens a port to everyone is never guessed for one that takes access away. */
const synonyms: Readonly<Record<string, string>> = {
  ...{ revoke: 'delete', deny: 'delete', withdraw: 'delete', forbid: 'delete', block: 'delete', expire: 'delete' },
  ...{ grant: 'add', allow: 'add', permit: 'add', open: 'add' },
  ...{ show: 'list', ls: 'list', protect: 'init', stop: 'delete' },
}

/** `--key=VALUE` and `-kVALUE` are unknown options as a whole to commander, and the value may be a secret. */
const withoutValue = (message: string) =>
  message.replace(
    /^(unknown option ')(--[^=]*|-[^-])(.*)'$/s,
    (_, start: string, option: string) => `${start}${option}'`,
  )

function explain(error: unknown, terminal: Terminal): number {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  for (const { message, hint } of problemsOf(error)) {
    terminal.error(message)
    if (hint !== undefined) terminal.hint(hint)
  }
  return exitStatusOf(error)
}
