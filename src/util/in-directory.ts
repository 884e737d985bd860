/**
 * Where a file is, for root. In a directory that another user can write, that user can put a link to any place, also while
 * root is on its way there. So root goes from directory to directory by descriptor, follows links only where it alone can
 * have made them, and then names the file below the descriptor of the last directory. Other users get where they could get
 * anyway, and go by name.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'

/** open(2): only names the directory. Node has no constant for it. */
export const O_PATH = 0o10000000
const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants
const sticky = 0o1000
/** As Linux. */
const mostLinks = 40

/**
 * Calls `act` with a name of the file that leads nowhere else, as long as `act` runs, and with whether a user other than root
 * can put something in the place of the file. Throws the system's error, also for a link of another user (ELOOP).
 */
export function inDirectory<T>(file: string, act: (there: string, isExposed: boolean) => T): T {
  const place = openPlace(file)
  try {
    return act(place.there, place.isExposed)
  } catch (error) {
    throw place.named(error)
  } finally {
    place.close()
  }
}

/** A name of a file that leads nowhere else until `close` is called. */
interface Place {
  readonly there: string
  readonly isExposed: boolean
  /** The error, as if the file had been named as it was given. */
  readonly named: (error: unknown) => unknown
  readonly close: () => void
}

/** As for `inDirectory`; throws the same. */
export function openPlace(file: string): Place {
  if (process.geteuid?.() !== 0) return { there: file, isExposed: false, named: error => error, close: () => undefined }
  const directory = path.dirname(path.resolve(file))
  const { descriptor, isExposed } = walkTo(file, directory)
  const byDescriptor = nameOf(descriptor)
  return {
    there: `${byDescriptor}/${path.basename(file)}`,
    isExposed,
    named: error => named(error, byDescriptor, directory),
    close: () => {
      fs.closeSync(descriptor)
    },
  }
}

/** What a directory on the way lacks is said of the file, as the kernel does. */
function walkTo(file: string, directory: string): OpenDirectory {
  try {
    return walk(directory, at => lstat(at))
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ELOOP' ? error : Object.assign(error as Error, { path: file })
  }
}

type Give = (descriptor: number, parent: string) => void

/** Makes a directory and those above it. `give` gets each that was made, and where. */
export function makeDirectory(directory: string, mode: number, give: Give): void {
  const { descriptor } = walk(path.resolve(directory), (at, parent) => lstat(at, () => make(at, mode, parent, give)))
  fs.closeSync(descriptor)
}

function make(at: string, mode: number, parent: string, give: Give): void {
  try {
    fs.mkdirSync(at, { mode })
  } catch (error) {
    // Another process was faster.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    throw error
  }
  const descriptor = fs.openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  try {
    if (fs.fstatSync(descriptor).uid === process.geteuid?.()) give(descriptor, parent)
  } finally {
    fs.closeSync(descriptor)
  }
}

function lstat(file: string, missing?: () => void): fs.Stats {
  if (missing && fs.lstatSync(file, { throwIfNoEntry: false }) === undefined) missing()
  return fs.lstatSync(file)
}

interface OpenDirectory {
  readonly descriptor: number
  readonly isExposed: boolean
}

/** The caller closes the descriptor. `find` gets each name on the way, and that of the directory in which it is. */
function walk(directory: string, find: (at: string, parent: string) => fs.Stats): OpenDirectory {
  const names = directory.split('/').filter(Boolean)
  let at = fs.openSync('/', O_PATH | O_DIRECTORY)
  let isExposed = false
  let links = 0
  try {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const parent = fs.fstatSync(at)
      const entry = find(`${nameOf(at)}/${name}`, nameOf(at))
      isExposed ||= isShared(parent) && !isKept(parent, entry)
      if (entry.isSymbolicLink()) {
        if (isExposed || ++links > mostLinks) throw planted(path.join(fs.readlinkSync(nameOf(at)), name))
        const target = fs.readlinkSync(`${nameOf(at)}/${name}`)
        names.unshift(...target.split('/').filter(part => part !== '' && part !== '.'))
        if (path.isAbsolute(target)) at = step(at, '/')
      } else {
        at = step(at, `${nameOf(at)}/${name}`)
      }
    }
    return { descriptor: at, isExposed: isExposed || isShared(fs.fstatSync(at)) }
  } catch (error) {
    const place = fs.readlinkSync(nameOf(at))
    fs.closeSync(at)
    throw named(error, nameOf(at), place)
  }
}

function step(from: number, to: string): number {
  const next = fs.openSync(to, O_PATH | O_DIRECTORY | O_NOFOLLOW)
  fs.closeSync(from)
  return next
}

const nameOf = (descriptor: number) => `/proc/self/fd/${descriptor}`

/** Whether a user other than root can change what is in the directory. */
const isShared = ({ uid, gid, mode }: fs.Stats): boolean =>
  uid !== 0 || (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== 0)

/** In a directory such as /tmp, all users can make files, and only root can replace those of root. */
const isKept = (directory: fs.Stats, entry: fs.Stats): boolean =>
  directory.uid === 0 && (directory.mode & sticky) !== 0 && entry.uid === 0

const planted = (link: string): Error =>
  Object.assign(new Error(`${link} is a symbolic link, which a user other than root can have made`), {
    code: 'ELOOP',
    path: link,
  })

/** The error, as if the file had been named by its directory. */
function named(error: unknown, byDescriptor: string, directory: string): unknown {
  if (!(error instanceof Error)) return error
  const plain = (text: string) => text.replaceAll(`${byDescriptor}/`, directory === '/' ? '/' : `${directory}/`)
  error.message = plain(error.message)
  const { path: from, dest } = error as NodeJS.ErrnoException & { dest?: string }
  return Object.assign(error, from !== undefined && { path: plain(from) }, dest !== undefined && { dest: plain(dest) })
}
