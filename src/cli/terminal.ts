/** How pkctl speaks: results on stdout; `pkctl: error: …`, then `pkctl: hint: …` on stderr, lower case, no full stop. */
import { styleText } from 'node:util'
import { oneLine } from '../controller/config/values.js'

/** Ends a command with one clear line. Exit status 1, or 2 where the words of the command were wrong. */
export class CliError extends Error {
  override readonly name = 'CliError'

  constructor(
    message: string,
    readonly hint?: string,
    readonly status: 1 | 2 = 1,
  ) {
    super(message)
  }
}

export const usageError = (message: string, hint?: string): CliError => new CliError(message, hint, 2)

export interface Terminal {
  out(line: string): void
  error(message: string): void
  hint(message: string): void
  warn(message: string): void
  strong(text: string): string
  /** A line of a difference: what comes, goes, or changes. */
  difference(sign: '+' | '-' | '~', text: string): void
}

type Colour = 'red' | 'yellow' | 'cyan'

const coloured = (stream: NodeJS.WriteStream) =>
  stream.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'

/** Text for stdout, in a colour where it has any. */
export const inColour = (colour: Colour, text: string): string =>
  coloured(process.stdout) ? styleText(colour, text) : text

/** The columns of the terminal on stdout; Infinity where there is none, or it does not know. */
export const columns = (): number =>
  process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : Infinity

/** `program` is the name under which it speaks. */
export function realTerminal(program = 'pkctl'): Terminal {
  const label = (name: string, colour: Colour) => (coloured(process.stderr) ? styleText(colour, name) : name)
  const say = (name: string, colour: Colour) => (message: string) => {
    process.stderr.write(`${program}: ${label(`${name}:`, colour)} ${oneLine(message)}\n`)
  }
  // `pkctl list | head` is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') throw error
    process.exit(0)
  })
  const signs = { '+': 'green', '-': 'red', '~': 'yellow' } as const
  return {
    out: line => {
      process.stdout.write(`${line}\n`)
    },
    error: say('error', 'red'),
    hint: say('hint', 'cyan'),
    warn: say('warning', 'yellow'),
    strong: text => (coloured(process.stdout) ? styleText('bold', text) : text),
    difference: (sign, text) => {
      const line = `${sign} ${text}`
      process.stdout.write(`${coloured(process.stdout) ? styleText(signs[sign], line) : line}\n`)
    },
  }
}
