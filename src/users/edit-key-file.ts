/**
 * Reading and replacing the files of keys: owner and mode stay. A link in the place of the file is not followed, and one on the
 * way there only where root alone can have made it.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { decodeText, inDirectory, reasonOf, replaceFile, UserError } from '../util/index.js'

/** As the daemon. */
export const maxKeyFileBytes = 16 * 1024 * 1024
/** Public keys are no secrets, and the daemon must be able to read them. */
const newMode = 0o644
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants

/** The text; empty where there is no file. Throws a UserError. */
export function readUserKeys(file: string): string {
  const bytes = readBytes(file)
  const text = bytes && decodeText(bytes)
  if (bytes && (text === undefined || text.includes('\0'))) throw new UserError(`${file} is not text`)
  return text ?? ''
}

/** Undefined where there is no file. Throws a UserError. */
export function readBytes(file: string): Buffer | undefined {
  return opened(file, descriptor => fs.readFileSync(descriptor))
}

function opened<T>(file: string, read: (descriptor: number) => T): T | undefined {
  try {
    const descriptor = inDirectory(file, there => fs.openSync(there, O_RDONLY | O_NOFOLLOW | O_NONBLOCK))
    try {
      const stat = fs.fstatSync(descriptor)
      if (!stat.isFile()) throw new UserError(`${file} is not a regular file`)
      if (stat.size > maxKeyFileBytes) throw new UserError(`${file} is larger than 16 MiB`)
      return read(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
  } catch (error) {
    const { code, path: named } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    if (code === 'ELOOP' && named === file)
      throw new UserError(`${file} is a symbolic link`, 'name the file that it leads to')
    if (error instanceof UserError) throw error
    throw new UserError(`${file} cannot be read: ${reasonOf(error)}`)
  }
}

/**
 * Replaces the file as a whole, or makes it, if its text is still `before`. Throws a UserError; the old file is then
 * unchanged.
 */
export function writeKeyFile(file: string, before: string, text: string): void {
  const there = opened(file, descriptor => fs.fstatSync(descriptor))
  try {
    replaceFile(file, text, {
      mode: 0o600,
      sync: true,
      // Of its own, where another process changes the file at the same time.
      temporary: `${file}.new-${process.pid}`,
      prepare(descriptor) {
        // Of another user's file, root keeps the owner; an owner who is not root cannot change it.
        if (there) fs.fchownSync(descriptor, there.uid, there.gid)
        fs.fchmodSync(descriptor, there ? there.mode & 0o7777 : newMode)
        if (readUserKeys(file) !== before) throw new UserError(`${file} has just been changed`, 'run the command again')
      },
    })
  } catch (error) {
    if (error instanceof UserError) throw error
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const directory = path.dirname(file)
    if (isMissing) throw new UserError(`there is no directory ${directory}`, `mkdir -m 755 ${directory}`)
    throw new UserError(`${file} cannot be written: ${reasonOf(error)}`)
  }
}
