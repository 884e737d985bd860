/** What is knocked at a section: its sequence or file of sequences, flags, target and time. */
import * as path from 'node:path'
import { formatStep, isSentByClients, maxSteps, parseFlags, parseStep, readOneTime } from '../knock/index.js'
import { parseAddress } from '../net/index.js'
import { defaultStateDirectory, reasonOf } from '../util/index.js'
import { secondsOf } from './knockd-file.js'
import type { Note } from './notes.js'
import { caution, remark, shorten } from './notes.js'

/** Reads a file that the input names. Throws the system's error. */
export interface FileReader {
  readonly readFile: (file: string) => Buffer
}

/** knockd's own default. */
const defaultSequenceSeconds = 25

/** The options of the credential; or why there can be none. */
export function knocksOf(
  values: ReadonlyMap<string, string>,
  readFile: FileReader['readFile'],
  notes: Note[],
): Record<string, unknown> | string {
  const file = values.get('one_time_sequences')
  const text = values.get('sequence')
  if (file !== undefined && text !== undefined) notes.push(caution('left out: Sequence, beside One_Time_Sequences'))
  const steps = file === undefined ? sequenceOf(text) : oneTimeOf(file, readFile, notes)
  if (typeof steps === 'string') return steps
  const timeout = secondsOf(values, 'seq_timeout', defaultSequenceSeconds, notes)
  const isUdp = (text ?? 'file').split(',').every(step => /:\s*udp\s*$/i.test(step))
  const flags = flagsOf(values.get('tcpflags'), notes, isUdp)
  if (typeof flags === 'string') return flags
  const target = values.get('target')
  const options = { ...steps, timeout, ...(flags ? { 'tcp-flags': flags } : {}) }
  if (target === undefined) return options
  try {
    return { ...options, target: parseAddress(target).address }
  } catch {
    return `its target ${shorten(target)} is no address, and without it, knocks at every address would count`
  }
}

function sequenceOf(text: string | undefined): Record<string, unknown> | string {
  if (text === undefined) return 'it has neither Sequence nor One_Time_Sequences'
  try {
    // knockd reads the digits of a port, and passes over what follows them up to a colon.
    const steps = text
      .replace(/\s#.*$/, '')
      .split(',')
      .map(step => parseStep(step.replace(/\s*:\s*/, ':')))
    if (steps.length > maxSteps) return `its sequence has ${steps.length} knocks; the maximum is ${maxSteps}`
    return {
      type: 'sequence',
      sequence: steps.map(step => (/^\d+$/.test(formatStep(step)) ? step.port : formatStep(step))),
    }
  } catch (error) {
    return `its sequence cannot be used: ${(error as Error).message.slice(0, 200)}`
  }
}

function oneTimeOf(file: string, readFile: FileReader['readFile'], notes: Note[]): Record<string, unknown> | string {
  if (!path.isAbsolute(file)) return `its file of sequences, ${shorten(file)}, is not an absolute path`
  try {
    readOneTime(readFile(file))
  } catch (error) {
    return `its file of sequences, ${shorten(file)}, cannot be used: ${reasonOf(error)}`
  }
  notes.push(remark('pkctld marks used sequences in that file, too: do not run knockd beside it'))
  if (!path.normalize(file).startsWith(`${defaultStateDirectory}/`))
    notes.push(
      caution(
        `pkctld must be able to write ${shorten(file)}, or nothing opens: under the units of the packages, move it below ` +
          `${defaultStateDirectory}, give it to the user pkctl, and change sequences-file`,
      ),
    )
  return { type: 'one-time', 'sequences-file': file }
}

function flagsOf(text: string | undefined, notes: Note[], isUdp: boolean): string[] | string | undefined {
  if (text === undefined) return undefined
  const flags = text.split(/[,|]/).map(flag => flag.trim().toLowerCase().replace(/^!\s+/, '!'))
  try {
    const rule = parseFlags(flags)
    if (!isUdp && !isSentByClients(rule)) {
      const how = "as there; use [syn, '!ack'] for clients such as knock, which start a connection"
      notes.push(caution(`TCPFlags = ${shorten(text)}: no client sends them, and no knock counts, ${how}`))
    }
    return flags
  } catch (error) {
    return `its TCPFlags cannot be used: ${(error as Error).message.slice(0, 200)}`
  }
}
