/** Whether a stream leads to the journal of systemd, which reads a priority in front of each line (sd-daemon(3)). */
import * as fs from 'node:fs'

/** Compares the descriptor with $JOURNAL_STREAM, DEVICE:INODE: a program can have been given another one since. */
export function isJournal(descriptor: number, stream: string | undefined = process.env['JOURNAL_STREAM']): boolean {
  if (stream === undefined) return false
  try {
    const { dev, ino } = fs.fstatSync(descriptor, { bigint: true })
    return stream === `${dev}:${ino}`
  } catch {
    return false
  }
}

const priorities = { error: 3, warn: 4, notice: 5, info: 6, debug: 7 } as const

/** The text with its priority before each of its lines. */
export const withPriority = (level: keyof typeof priorities, text: string): string =>
  text.replace(/^(?!$)/gm, `<${priorities[level]}>`)
