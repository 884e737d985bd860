/** What programs have in common: their commands are loaded when needed, and every failure becomes one line and an exit status. */
import { Command, CommanderError } from 'commander'
import type { Terminal } from '../util/index.js'
import { withoutHelpWord } from './help/help-word.js'
import { JsonTerminal } from './output/json-output.js'
import { version } from './version.js'
import { wrapHelp } from './help/wrap-help.js'

type MakeCommand = (terminal: Terminal) => Command

/** What the help of the program says of a command, and what loads the command itself. */
interface CommandEntry {
  /** The heading of its list. */
  readonly group: string
  /** At most 64 characters, so that a line of the help has at most 80. */
  readonly summary: string
  readonly load: () => Promise<MakeCommand>
}

/** Commands by their names, in the order of the help. */
export type CommandTable = Readonly<Record<string, CommandEntry>>

/** A script to complete all commands needs all of them; the names that it asks for later need none. */
const needsAll = (line: readonly string[]) => line[0] === 'completion' && !line.includes('--names')

interface ProgramParts {
  readonly commands: CommandTable
  /** What follows the list of commands. */
  readonly help: string
  readonly terminal: Terminal
  /** The line, for which one command may be enough; undefined for a program with all of them. */
  readonly line: readonly string[] | undefined
}

/**
 * The program with the command that the line names. Where it names none, as `--help` does, or one that does not exist, the
 * commands are known by their names alone: to load all of them takes much longer than to say what there is.
 */
export async function newProgram({ commands, help, terminal, line }: ProgramParts): Promise<Command> {
  const program = new Command('pkctl')
    .description('Keeps ports closed in the kernel until their users knock.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', help)
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureHelp({ subcommandTerm: command => command.name() })
    .addHelpCommand(
      new Command('help').argument('[command...]').summary('show the help of a command').helpGroup(otherGroup),
    )
  const name = line && namedBy(line)
  const isWhole = name === undefined || (line !== undefined && needsAll(line))
  for (const [each, { group, summary, load }] of Object.entries(commands)) {
    if (isWhole || each === name) program.addCommand((await load())(terminal).summary(summary).helpGroup(group))
    else if (!Object.hasOwn(commands, name)) program.addCommand(new Command(each).summary(summary).helpGroup(group))
  }
  return program
}

export const otherGroup = 'Other commands:'

/** The word that must be a command: of `help list`, the second one. */
function namedBy(line: readonly string[]): string {
  const [first = '', second = ''] = line
  return first === 'help' ? second : first
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
    command.exitOverride().configureOutput({
      outputError: text => commanderError(text, terminal),
      writeOut: text => {
        terminal.out(wrapHelp(text, helpColumns()).replace(/\n$/, ''))
      },
    })
  }
  try {
    await program.parseAsync(withoutHelpWord(program, argv), { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    // Commander has said it already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    // Only here: the kinds of errors come from all over the program, which most commands do without.
    return (await import('./output/explain-error.js')).explainError(error, terminal)
  }
}

/** As commander lists options: 80 where the output is no terminal. */
const helpColumns = () => (process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : 80)

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
  ...{ deny: 'delete', withdraw: 'delete', forbid: 'delete', block: 'delete', expire: 'delete' },
  ...{ grant: 'add', allow: 'add', permit: 'add', open: 'add' },
  ...{ show: 'list', ls: 'list', protect: 'init', stop: 'delete' },
}

/** `--key=VALUE` and `-kVALUE` are unknown options as a whole to commander, and the value may be a secret. */
const withoutValue = (message: string) =>
  message.replace(
    /^(unknown option ')(--[^=]*|-[^-])(.*)'$/s,
    (_, start: string, option: string) => `${start}${option}'`,
  )
