/**
 * Sequences that are good for once, as knockd keeps them: a file with one on each line, `7000,8000:udp,9000`. A used
 * one is disabled by a `#` in the first column of its line, which takes the place of what stood there: a line should
 * begin with a space. The first line that is not disabled is the one that counts.
 */
import { SequenceFormatError } from './secret-errors.js'
import type { Step } from './step.js'
import { maxSteps, parseStep } from './step.js'

export interface OneTimeSequence {
  readonly steps: readonly Step[]
  /** The line's bytes, without its end. */
  readonly line: Buffer
  /** Where the line begins, in bytes. */
  readonly offset: number
}

export interface OneTimeList {
  /** In the order of the file. */
  readonly unused: readonly OneTimeSequence[]
}

/** With fewer than this, it is time to add some. */
export const fewLeft = 5

/** Puts a used line out of force. */
export const usedMark = '#'

/** Throws a SequenceFormatError that names the line. */
export function readOneTime(file: Buffer): OneTimeList {
  const unused: OneTimeSequence[] = []
  let offset = 0
  for (let number = 1; offset < file.length; number++) {
    const end = file.indexOf('\n', offset)
    const line = file.subarray(offset, end < 0 ? file.length : end)
    const text = line.toString('latin1').trim()
    if (text !== '' && !text.startsWith(usedMark)) unused.push({ steps: stepsOf(text, number), line, offset })
    offset += line.length + 1
  }
  return { unused }
}

function stepsOf(text: string, number: number): Step[] {
  let steps: Step[]
  try {
    steps = text.split(',').map(parseStep)
  } catch {
    // Without the text: it can be a key, where the file is one of another kind.
    throw new SequenceFormatError(`line ${number}: expected knocks such as 7000 or 8000:udp, with commas between them`)
  }
  if (steps.length <= maxSteps) return steps
  throw new SequenceFormatError(`line ${number}: expected at most ${maxSteps} knocks, got ${steps.length}`)
}
