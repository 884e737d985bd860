/** How pkctl speaks: results on stdout; `pkctl: error: …`, then `pkctl: hint: …` on stderr, lower case, no full stop. */
import { styleText } from 'node:util'
import type { Terminal } from '../../util/index.js'
import { isJournal, oneLine, withPriority } from '../../util/index.js'

type Colour = 'red' | 'yellow' | 'cyan'

const coloured = (stream: NodeJS.WriteStream) =>
  stream.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'

/** Text for stdout, in a colour where it has any. */
export const inColour = (colour: Colour, text: string): string =>
  coloured(process.stdout) ? styleText(colour, text) : text

/** A line of a drawing whose dark parts must be dark, on stdout; unchanged where that has no colours. */
export const whiteOnBlack = (line: string): string =>
  coloured(process.stdout) ? styleText(['whiteBright', 'bgBlack'], line) : line

/** The columns of the terminal on stdout; Infinity where there is none, or it does not know. */
export const columns = (): number =>
  process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : Infinity

/** For the journal, where a unit runs a command. */
const priorities = { error: 'error', hint: 'notice', warning: 'warn' } as const

/** `program` is the name under which it speaks. */
export function realTerminal(program = 'pkctl'): Terminal {
  const label = (name: string, colour: Colour) => (coloured(process.stderr) ? styleText(colour, name) : name)
  const say = (name: keyof typeof priorities, colour: Colour) => (message: string) => {
    const line = `${program}: ${label(`${name}:`, colour)} ${oneLine(message)}\n`
    process.stderr.write(isJournal(process.stderr.fd) ? withPriority(priorities[name], line) : line)
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
    errorLine: line => {
      process.stderr.write(`${line}\n`)
    },
    strong: text => (coloured(process.stdout) ? styleText('bold', text) : text),
    difference: (sign, text) => {
      const line = `${sign} ${text}`
      process.stdout.write(`${coloured(process.stdout) ? styleText(signs[sign], line) : line}\n`)
    },
  }
}
