/**
 * Which table is pkctl's own: its number in the kernel, and the boot for which that counts. A table with another number was
 * made by another program, most likely from a saved ruleset, whose grants may have been revoked since. The note is the second
 * line of the lock file, so that it is as safe from other users as the lock; see lock.ts.
 */
import * as fs from 'node:fs'
import { inDirectory, openThere } from '../util/index.js'

/** `unknown`: pkctl has worked here since the boot, but a version that left no note. */
type Origin = 'own' | 'other' | 'unknown'

export interface TableNote {
  /** Who made the table with this number. To be called with the lock. */
  readonly originOf: (handle: number) => Origin
  /** From now on, this is pkctl's own table. */
  readonly keep: (handle: number) => void
}

const bootOf = (): string => {
  try {
    return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return '-'
  }
}

const noteOf = (handle: number) => `table ${handle} boot ${bootOf()}`

/** For a lock file that is new: no program of pkctl has made a table here. */
export const noTable = (): string => noteOf(0)

const longest = 400

/** The second line of a lock file. */
export function noteIn(descriptor: number): string {
  return linesIn(descriptor)[1]
}

/** Writes both lines; nothing where there is nothing to say. */
export function writeLines(descriptor: number, holder: string, note: string): void {
  try {
    fs.ftruncateSync(descriptor)
    if (holder + note !== '') fs.writeSync(descriptor, `${holder}\n${note === '' ? '' : `${note}\n`}`, 0)
  } catch {
    // A full disk does not matter: the lock is the kernel's, and without a note grants are kept.
  }
}

function linesIn(descriptor: number): [holder: string, note: string] {
  const buffer = Buffer.alloc(longest)
  const text = buffer.toString('latin1', 0, fs.readSync(descriptor, buffer, 0, buffer.length, 0))
  const [holder = '', note = ''] = text.split('\n')
  return [holder, /^table \d{1,20} boot [\w-]{1,64}$/.test(note) ? note : '']
}

/** The note in this lock file. */
export function tableNote(file: string): TableNote {
  const withLines = <T>(work: (descriptor: number, lines: [holder: string, note: string]) => T): T | undefined => {
    let descriptor: number | undefined
    try {
      const opened = inDirectory(file, there => openThere(there, fs.constants.O_RDWR))
      descriptor = opened
      return work(opened, linesIn(opened))
    } catch {
      // Where there can be no lock, there is no note.
      return undefined
    } finally {
      if (descriptor !== undefined) fs.closeSync(descriptor)
    }
  }
  return {
    originOf: handle => {
      const note = withLines((_, lines) => lines[1]) ?? ''
      return note === '' ? 'unknown' : note === noteOf(handle) ? 'own' : 'other'
    },
    keep: handle => {
      withLines((descriptor, [holder, note]) => {
        if (note !== noteOf(handle)) writeLines(descriptor, holder, noteOf(handle))
      })
    },
  }
}
