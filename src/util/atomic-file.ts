/**
 * Replaces a file as a whole: the new content is written to a temporary file in the same directory and takes the name of
 * the old one when it is complete. A reader, or a crash, finds one of the two and never a part.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { inDirectory } from './in-directory.js'

interface WriteOptions {
  readonly mode?: number
  /** Waits until the content is on the disk. Without it, a power failure may leave an empty file. */
  readonly sync?: boolean
  /** The temporary file, in the directory of the file. A file or a symbolic link with this name is removed first. */
  readonly temporary?: string
  /** Called with the open, empty file, to change its owner or mode, and with a name of its directory that leads nowhere else. */
  readonly prepare?: (descriptor: number, directory: string) => void
}

export interface TemporaryFile {
  /** Open for appending. The caller closes it. */
  readonly descriptor: number
  /** Gives the file its name, in place of the file that has it. */
  replace(): void
  /** Gives the file its name. Throws EEXIST where another file has it. */
  create(): void
  /** Removes the temporary file, if it has not been renamed. */
  discard(): void
}

// O_EXCL alone refuses a symbolic link; O_NOFOLLOW says so.
const { O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants
const newFile = O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW

/** Throws the system's error, with nothing left behind. */
export function writeTemporary(
  file: string,
  content: string | Buffer,
  { mode = 0o600, sync = false, temporary = `${file}.new`, prepare }: WriteOptions = {},
): TemporaryFile {
  const discard = () => {
    removeFile(temporary)
  }
  const beside = (there: string) => path.join(path.dirname(there), path.basename(temporary))
  const descriptor = inDirectory(temporary, there => {
    fs.rmSync(there, { force: true })
    const made = fs.openSync(there, newFile, mode)
    try {
      prepare?.(made, path.dirname(there))
    } catch (error) {
      fs.closeSync(made)
      fs.rmSync(there, { force: true })
      throw error
    }
    return made
  })
  try {
    // writeFileSync writes all of it or throws; writeSync may write a part on a full disk.
    fs.writeFileSync(descriptor, content)
    if (sync) fs.fsyncSync(descriptor)
  } catch (error) {
    fs.closeSync(descriptor)
    discard()
    throw error
  }
  return {
    descriptor,
    replace() {
      inDirectory(file, there => fs.renameSync(beside(there), there))
    },
    create() {
      inDirectory(file, there => fs.linkSync(beside(there), there))
      discard()
    },
    discard,
  }
}

/** Throws the system's error; the old file is then unchanged. */
export function replaceFile(file: string, content: string | Buffer, options: WriteOptions = {}): void {
  fs.closeSync(replaceAndKeepOpen(file, content, options))
}

/** A new file, as a whole. Throws EEXIST where another file has the name. */
export function createFile(file: string, content: string | Buffer, options: WriteOptions): void {
  const next = writeTemporary(file, content, options)
  try {
    next.create()
  } catch (error) {
    next.discard()
    throw error
  } finally {
    fs.closeSync(next.descriptor)
  }
}

/** `replaceFile`, which returns the descriptor of the new file, open for appending. The caller closes it. */
export function replaceAndKeepOpen(file: string, content: string | Buffer, options: WriteOptions = {}): number {
  const next = writeTemporary(file, content, options)
  try {
    next.replace()
  } catch (error) {
    fs.closeSync(next.descriptor)
    next.discard()
    throw error
  }
  return next.descriptor
}

/** Gives a file another name in its directory, in place of the file that has it. Throws the system's error. */
export function renameFile(file: string, name: string): void {
  inDirectory(file, there => fs.renameSync(there, path.join(path.dirname(there), name)))
}

/** Removes a file, if it is there. */
export function removeFile(file: string): void {
  try {
    inDirectory(file, there => fs.rmSync(there, { force: true }))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
