import { Command } from 'commander'
import { loadConfig, readOneTimeFile } from '../../config/index.js'
import type { RotatingCredential } from '../../config/types.js'
import type { Step } from '../../knock/index.js'
import { formatStep, rotatingSteps, startOfHour } from '../../knock/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, UserError } from '../../util/index.js'
import { jsonText } from '../output/json-output.js'
import { parseTimeFlag } from '../flags/time-flag.js'

interface SequenceFlags {
  readonly at?: string
  readonly json?: boolean
  readonly config: string
}

interface Sequences {
  readonly open: readonly Step[]
  readonly close: readonly Step[]
}

const sequenceHelp = `
Prints two lines, OPEN: and CLOSE:, each with the ports to knock at in their order; CLOSE: is empty where nothing
closes. A rotating sequence is that of the hour in which --at is, by default now; of sequences that are good for once it
is the next.

Example:
  pkctl sequence hourly --at 2030-01-01T12:00:00Z`

export function sequenceCommand(terminal: Terminal): Command {
  return new Command('sequence')
    .description('print the sequences of a credential, as they are now or at another time')
    .argument('<name>', 'credential of type sequence, one-time or rotating')
    .option('--at <time>', 'a time as 2030-01-01T12:00:00Z, or in Unix seconds (default: now)')
    .option('--json', 'print one JSON object')
    .option('--config <file>', 'configuration', defaultConfig)
    .addHelpText('after', sequenceHelp)
    .action((name: string, flags: SequenceFlags) => {
      const at = flags.at === undefined ? Date.now() / 1000 : parseTimeFlag('--at', flags.at)
      const { open, close } = sequencesOf(name, flags.config, at)
      const line = (steps: readonly Step[]) => steps.map(formatStep)
      if (flags.json) terminal.out(jsonText({ name, at: Math.floor(at), open: line(open), close: line(close) }))
      else {
        terminal.out(['OPEN:', ...line(open)].join(' '))
        terminal.out(['CLOSE:', ...line(close)].join(' '))
      }
    })
}

function sequencesOf(name: string, file: string, at: number): Sequences {
  const { config } = loadConfig(file)
  const credential = config.credentials.find(one => one.name === name)
  if (!credential) throw new UserError(`there is no credential ${name} in ${file}`)
  switch (credential.type) {
    case 'sequence':
      return { open: credential.steps, close: [] }
    case 'one-time':
      return { open: readOneTimeFile(credential.file).unused[0]?.steps ?? [], close: [] }
    case 'rotating':
      return rotating(credential, at)
    default:
      throw new UserError(`credential ${name} is of type ${credential.type}, and has no sequence`)
  }
}

function rotating({ open, close, hour }: RotatingCredential, at: number): Sequences {
  const start = startOfHour(at, hour)
  return { open: rotatingSteps(open, start), close: close ? rotatingSteps(close, start) : [] }
}
