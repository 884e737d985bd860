/**
 * Files in a directory that belongs to another user, as the state directory belongs to the user of the daemon. Root opens
 * them, too. A link there leads root nowhere, and what root makes there belongs to the owner of the directory, who must be
 * able to go on with it.
 */
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { inDirectory, makeDirectory, O_PATH } from './in-directory.js'

const { O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = fs.constants

/** More than any state needs: another user may have left a file without end. */
const mostStateBytes = 512 * 1024 * 1024

/** Opens a file for appending. Makes it where there is none. Throws the system's error, or why it is not opened. */
export const appendOwned = (file: string, mode: number): number => inDirectory(file, there => append(there, mode))

function append(there: string, mode: number): number {
  try {
    const descriptor = fs.openSync(there, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
    giveToOwner(descriptor, path.dirname(there))
    return descriptor
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return openThere(there, O_WRONLY | O_APPEND)
  }
}

/**
 * Makes a file that was not there, and lets `fill` write it; on the disk when it returns what `fill` does. Throws the
 * system's error, such as EEXIST, or that of `fill`, with nothing left behind.
 */
export function makeNew<T>(file: string, mode: number, fill: (descriptor: number, directory: string) => T): T {
  return inDirectory(file, there => {
    const descriptor = fs.openSync(there, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
    try {
      const result = fill(descriptor, path.dirname(there))
      fs.fsyncSync(descriptor)
      return result
    } catch (error) {
      fs.rmSync(there, { force: true })
      throw error
    } finally {
      fs.closeSync(descriptor)
    }
  })
}

/** Opens a file for reading. Throws the system's error, or why it is not opened. */
export const openOwnedToRead = (file: string): number => inDirectory(file, there => openThere(there, O_RDONLY))

/** Reads a whole file. Throws the same, and where it is too large for a state. */
export const readOwned = (file: string): Buffer => readOpen(openOwnedToRead(file), file, mostStateBytes)

/** `openNamed` for reading. A pipe is not waited for. */
export const openNamedToRead = (file: string): number =>
  inDirectory(file, (there, isExposed) =>
    isExposed ? openThere(there, O_RDONLY) : fs.openSync(there, O_RDONLY | O_NONBLOCK),
  )

/** `openNamedToRead` for a whole regular file of at most `maxBytes`. */
export const readNamed = (file: string, maxBytes: number): Buffer => readOpen(openNamedToRead(file), file, maxBytes)

/** Closes the descriptor. */
function readOpen(descriptor: number, file: string, maxBytes: number): Buffer {
  try {
    const stat = fs.fstatSync(descriptor)
    if (!stat.isFile()) throw new Error(`${file} is not a regular file`)
    if (stat.size > maxBytes) throw new Error(`${file} is larger than ${maxBytes / 1024 / 1024} MiB`)
    return fs.readFileSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Opens a file for reading and writing that the user named: links are followed where only root can have made them. */
export const openNamed = (file: string): number =>
  inDirectory(file, (there, isExposed) => (isExposed ? openThere(there, O_RDWR) : fs.openSync(there, 'r+')))

/** `openNamed` for appending. Makes the file where there is none. A pipe that no program reads is an error, not a wait. */
export const appendNamed = (file: string, mode: number): number =>
  inDirectory(file, (there, isExposed) =>
    isExposed ? append(there, mode) : fs.openSync(there, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, mode),
  )

/** Makes a directory and those above it, for the owner of the first directory that is there. */
export function makeOwnedDirectory(directory: string, mode = 0o700): void {
  if (process.geteuid?.() === 0) makeDirectory(directory, mode, giveToOwner)
  else fs.mkdirSync(directory, { recursive: true, mode })
}

/** Gives what root has just made in a directory to the owner of the directory. */
export function giveToOwner(descriptor: number, directory: string): void {
  const { uid, gid } = fs.statSync(directory)
  if (uid !== 0 && process.geteuid?.() === 0) fs.fchownSync(descriptor, uid, gid)
}

/** Whether the name still is that of the open file: false when it was removed, or another one has its name. */
export function isStillThere(file: string, descriptor: number): boolean {
  const mine = fs.fstatSync(descriptor)
  const there = fs.lstatSync(file, { throwIfNoEntry: false })
  return there?.ino === mine.ino && there.dev === mine.dev
}

/** How this process gets a file that another user has left in its directory; undefined for other errors. */
export function ownerHint(error: unknown): string | undefined {
  const { code, path } = error as NodeJS.ErrnoException
  if (code !== 'EACCES' || path === undefined) return undefined
  return `as root: chown -h ${process.geteuid?.()}:${process.getegid?.()} ${path}`
}

/** Opens a file that is there, by the name that inDirectory gives. O_NONBLOCK: a pipe in its place would be waited for. */
export function openThere(file: string, flags: number): number {
  for (let left = openAttempts; ; left--) {
    const descriptor = fs.openSync(file, flags | O_NOFOLLOW | O_NONBLOCK)
    const there = fs.fstatSync(descriptor)
    const isAlone = there.isFile() && there.nlink <= 1
    awaitRename(path.dirname(file))
    if (isAlone && isOpenAs(file, descriptor)) return descriptor
    fs.closeSync(descriptor)
    if (!isAlone || left <= 1) throw new Error(`${file} is not a regular file, or has another name`)
  }
}

/**
 * While the kernel takes a name away, the name is not counted any more and can be read all the same. It holds the lock of the
 * directory until neither is so, and a look-up of a name that it does not know waits for that lock.
 */
const awaitRename = (directory: string): void => {
  fs.lstatSync(path.join(directory, `.${randomBytes(8).toString('hex')}`), { throwIfNoEntry: false })
}

/** A file that is replaced at this moment is opened again. */
const openAttempts = 5

/**
 * Whether the file has the name by which it was opened, in the same directory: one that was taken away is not among the names
 * that are counted, and one in another directory can be taken away there meanwhile.
 */
function isOpenAs(file: string, descriptor: number): boolean {
  const directory = fs.openSync(path.dirname(file), O_PATH | O_DIRECTORY)
  try {
    return placeOf(descriptor) === path.join(placeOf(directory), path.basename(file))
  } finally {
    fs.closeSync(directory)
  }
}

const placeOf = (descriptor: number): string => fs.readlinkSync(`/proc/self/fd/${descriptor}`)
