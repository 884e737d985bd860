/** What programs have in common: their commands are loaded when needed, and every failure becomes one line and an exit status. */
import { Command, CommanderError } from 'commander'
import type { Terminal } from '../util/index.js'
import { withoutHelpWord } from './help-word.js'
import { JsonTerminal } from './json-output.js'
import { version } from './version.js'

type MakeCommand = (terminal: Terminal) => Command

/** Commands by their names, each with what loads it. */
export type CommandLoaders = Readonly<Record<string, () => Promise<MakeCommand>>>

/** These with all commands. */
const needAll = new Set(['completion'])
const needNone = new Set(['-V', '--version'])

interface ProgramParts {
  readonly commands: CommandLoaders
  /** What follows the list of commands. */
  readonly help: string
  readonly terminal: Terminal
  /** The first word of the line. */
  readonly first: string
}

/** The program with the command that a line begins with; with all of them for every other line, such as `--help`. */
export async function newProgram({ commands, help, terminal, first }: ProgramParts): Promise<Command> {
  const program = new Command('pkctl')
    .description('Keeps ports closed in the kernel until their users knock.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', help)
    .enablePositionalOptions()
    .showSuggestionAfterError()
  const one = Object.hasOwn(commands, first) && !needAll.has(first) ? commands[first] : undefined
  const loaders = one ? [one] : needNone.has(first) ? [] : Object.values(commands)
  for (const load of loaders) program.addCommand((await load())(terminal))
  return program
}

/** Runs one command line, without the program's own name, and resolves to the exit status. */
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
  for (const command of withSubcommands(program)) {
    command.exitOverride().configureOutput({ outputError: text => commanderError(text, terminal) })
  }
  try {
    await program.parseAsync(withoutHelpWord(program, argv), { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    // Commander has said it already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    // Only here: the kinds of errors come from all over the program, which most commands do without.
    return (await import('./explain-error.js')).explainError(error, terminal)
  }
}

const withSubcommands = (command: Command): Command[] => [command, ...command.commands.flatMap(withSubcommands)]

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
