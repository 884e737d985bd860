/**
 * Files in a directory that belongs to another user, as the state directory belongs to the user of the daemon. Root opens
 * them, too. A link there leads root nowhere, and what root makes there belongs to the owner of the directory, who must be
 * able to go on with it.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'

const { O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = fs.constants

/** Opens a file for appending. Makes it where there is none. Throws the system's error, or why it is not opened. */
export function appendOwned(file: string, mode: number): number {
  try {
    const descriptor = fs.openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
    giveToOwner(descriptor, path.dirname(file))
    return descriptor
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return openThere(file, O_WRONLY | O_APPEND)
  }
}

/** Opens a file for reading. Throws the system's error, or why it is not opened. */
export const openOwnedToRead = (file: string): number => openThere(file, O_RDONLY)

/** Reads a whole file. Throws the same. */
export const readOwned = (file: string): Buffer => readOpen(openOwnedToRead(file))

/** `openNamed` for reading. A pipe is not waited for. */
export const openNamedToRead = (file: string): number =>
  canBePlanted(file) ? openThere(file, O_RDONLY) : fs.openSync(file, O_RDONLY | O_NONBLOCK)

/** `openNamedToRead` for a whole file. */
export const readNamed = (file: string): Buffer => readOpen(openNamedToRead(file))

function readOpen(descriptor: number): Buffer {
  try {
    return fs.readFileSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Opens a file for reading and writing that the user named: links are followed where only root can have made them. */
export const openNamed = (file: string): number =>
  canBePlanted(file) ? openThere(file, O_RDWR) : fs.openSync(file, 'r+')

/** `openNamed` for appending. Makes the file where there is none. A pipe that no program reads is an error, not a wait. */
export const appendNamed = (file: string, mode: number): number =>
  canBePlanted(file) ? appendOwned(file, mode) : fs.openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, mode)

/** Makes a directory and those above it, for its owner alone. */
export function makeOwnedDirectory(directory: string): void {
  if (fs.mkdirSync(directory, { recursive: true, mode: 0o700 }) === undefined) return
  const descriptor = fs.openSync(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  try {
    if (fs.fstatSync(descriptor).uid === process.geteuid?.()) giveToOwner(descriptor, path.dirname(directory))
  } finally {
    fs.closeSync(descriptor)
  }
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

/** O_NONBLOCK: a pipe in the place of the file would be waited for. */
function openThere(file: string, flags: number): number {
  for (let left = openAttempts; ; left--) {
    const descriptor = fs.openSync(file, flags | O_NOFOLLOW | O_NONBLOCK)
    const there = fs.fstatSync(descriptor)
    const isAlone = there.isFile() && there.nlink <= 1
    if (isAlone && isOpenAs(file, descriptor)) return descriptor
    fs.closeSync(descriptor)
    if (!isAlone || left <= 1) throw new Error(`${file} is not a regular file, or has another name`)
  }
}

/** A file that is replaced at this moment is opened again. */
const openAttempts = 5

/** Whether the file has the name by which it was opened: one that was taken away is not among the names that are counted. */
const isOpenAs = (file: string, descriptor: number): boolean =>
  path.basename(fs.readlinkSync(`/proc/self/fd/${descriptor}`)) === path.basename(file)

/** Whether root would follow a link that another user can have put there. */
function canBePlanted(file: string): boolean {
  const { uid, gid, mode } = fs.statSync(path.dirname(file))
  const isShared = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== 0)
  return process.geteuid?.() === 0 && (uid !== 0 || isShared)
}
