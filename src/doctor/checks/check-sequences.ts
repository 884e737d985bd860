/** Sequences that can be guessed, and files of sequences that run out. */
import type { OneTimeCredential } from '../../config/types.js'
import type { Step } from '../../knock/index.js'
import { fewLeft, formatStep, isAscending } from '../../knock/index.js'
import { count } from '../../util/index.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'

const enoughSteps = 3

export function checkSequence(name: string, steps: readonly Step[], line = ''): Finding[] {
  const subject = { credential: name }
  const text = `the sequence of ${name}${line}`
  return [
    ...(isAscending(steps)
      ? [
          finding(
            'ascending-sequence',
            `${text} goes up from port to port, as a port scan does`,
            'mix its ports',
            subject,
          ),
        ]
      : []),
    ...(new Set(steps.map(formatStep)).size < enoughSteps
      ? [
          finding(
            'short-sequence',
            `${text} has ${count(new Set(steps.map(formatStep)).size, 'different knock')}: it can be hit by chance`,
            'use at least four, or a PKD knock, which an observer cannot repeat',
            subject,
          ),
        ]
      : []),
  ]
}

export function checkOneTime({ name, file }: OneTimeCredential, lines: readonly (readonly Step[])[]): Finding[] {
  const subject = { credential: name, path: file }
  // The first lines stand for all, to keep the list of findings short.
  const weak = lines
    .flatMap((steps, i) => checkSequence(name, steps, `, ${i + 1}. of those left in ${file},`))
    .slice(0, 2)
  if (lines.length >= fewLeft) return weak
  const left = lines.length === 0 ? 'no sequence' : count(lines.length, 'sequence')
  const level = lines.length === 0 ? 'error' : 'warning'
  const effect = lines.length === 0 ? ': no client can knock with it' : ''
  const low = finding(
    'few-sequences',
    `${file} has ${left} left for ${name}${effect}`,
    'add lines to it, each beginning with a space, then pkctl reload',
    { ...subject, level },
  )
  return [low, ...weak]
}
