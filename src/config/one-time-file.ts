/** The file of sequences that are good for once: read, and marked line by line. */
import * as fs from 'node:fs'
import type { OneTimeList, OneTimeSequence } from '../knock/index.js'
import { readOneTime, usedMark } from '../knock/index.js'
import { openNamed, readNamed } from '../util/index.js'

/** Room for some hundred thousand sequences. */
export const maxOneTimeFileBytes = 16 * 1024 * 1024

/** A line of a file, as it was when it was read. */
export interface OneTimeLine extends Pick<OneTimeSequence, 'line' | 'offset'> {
  readonly file: string
}

/** Throws the system's error, or a SequenceFormatError. */
export const readOneTimeFile = (file: string): OneTimeList => readOneTime(readNamed(file, maxOneTimeFileBytes))

/**
 * Marks the line as used, and waits until that is on disk: one byte, so that a crash leaves it either done or not.
 * Throws when the line is not what it was, or the file cannot be written.
 */
export function markUsed({ file, line, offset }: OneTimeLine): void {
  const descriptor = openNamed(file)
  try {
    // With the end of the line before it, so that a line that has become longer at its front is noticed.
    const from = Math.max(0, offset - 1)
    const found = Buffer.alloc(line.length + offset - from + 1)
    const length = fs.readSync(descriptor, found, 0, found.length, from)
    const expected = Buffer.concat([Buffer.from(offset > 0 ? '\n' : ''), Buffer.from(line)])
    const ends = length === expected.length || found[expected.length] === 0x0a
    if (!found.subarray(0, expected.length).equals(expected) || !ends) {
      throw new Error(`${file} has changed since it was read`)
    }
    fs.writeSync(descriptor, usedMark, offset)
    fs.fdatasyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}
