import { Command } from 'commander'
import type { Finding, Level } from '../../doctor/index.js'
import { checkAll, gatherFacts, findingsSummary } from '../../doctor/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, oneLine } from '../../util/index.js'
import { jsonText } from '../output/json-output.js'
import { columns, inColour } from '../output/real-terminal.js'
import { version } from '../version.js'

const doctorHelp = `
Changes nothing, and needs no daemon. Without root, it says what it could not check.
Exit status: 0 without errors, 1 with at least one, and with --strict also with a warning.`

interface Flags {
  readonly config: string
  readonly socket?: string
  readonly json?: boolean
  readonly strict?: boolean
}

export function doctorCommand(terminal: Terminal): Command {
  return new Command('doctor')
    .description('check this machine, and say what is wrong or risky and what to do')
    .option('--config <file>', 'the configuration to look at', defaultConfig)
    .option('--socket <path>', "the daemon's socket (default: that of the configuration)")
    .option('--json', 'print one JSON list of findings')
    .option('--strict', 'let the exit status be 1 for warnings, too')
    .addHelpText('after', doctorHelp)
    .action(async (flags: Flags) => {
      const findings = checkAll(await gatherFacts(flags.config, flags.socket), version)
      if (flags.json) terminal.out(`[${findings.map(jsonText).join(',')}]`)
      else print(findings, terminal)
      const fatal: readonly Level[] = flags.strict ? ['error', 'warning'] : ['error']
      process.exitCode = findings.some(({ level }) => fatal.includes(level)) ? 1 : 0
    })
}

const colours = { error: 'red', warning: 'yellow', note: 'cyan' } as const
const maxWidth = 100

function print(findings: readonly Finding[], terminal: Terminal): void {
  const width = Number.isFinite(columns()) ? Math.min(columns(), maxWidth) : Infinity
  for (const { id, level, message, advice } of findings) {
    const [first = '', ...rest] = wrap(`${level}: ${oneLine(message)} (${id})`, width)
    terminal.out(inColour(colours[level], `${level}:`) + first.slice(level.length + 1))
    for (const line of [...rest, ...wrap(`what to do: ${oneLine(advice)}`, width)]) terminal.out(`  ${line}`)
    terminal.out('')
  }
  terminal.out(terminal.strong(findingsSummary(findings)))
}

/** The text in lines that fit, with two columns to spare; a word that is too long stays whole. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width - 2) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
