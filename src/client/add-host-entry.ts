/** Adds the host entry of an invitation to hosts.yaml. What stands there stays as it is written. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { stringify } from 'yaml'
import { formatIdentity } from '../knock/index.js'
import { makeOwnedDirectory, quote, readNamed, reasonOf, UserError, writeTemporary } from '../util/index.js'
import { findHostEntry } from './hosts-file.js'
import type { Invitation } from './invitation.js'

const privateFile = 0o600
/** As Linux. */
const mostLinks = 40
const maxBytes = 16 * 1024 * 1024

interface Joined {
  readonly changed: boolean
  readonly file: string
}

/** Throws a UserError, with the file unchanged, where the name is that of another host entry. */
export function addHostEntry(file: string, name: string, invitation: Invitation): Joined {
  const entry = entryOf(invitation)
  const there = findHostEntry(name, file)
  const target = realPath(file)
  if (there) {
    if (isSame(there, entry)) return { changed: false, file }
    throw new UserError(
      `${file} has another host entry ${quote(name)} already`,
      'take another name with --name, or remove that entry first',
    )
  }
  write(target, name, entry)
  return { changed: true, file }
}

/** In text, as hosts.yaml has it. */
type Options = Readonly<Record<string, string>>

function entryOf({ host, port, identity, services, key }: Invitation): Options {
  const connect = services.find(service => service.protocol === 'tcp' && service.port !== undefined)?.port
  return {
    host,
    identity: formatIdentity(identity),
    ...(port === null ? {} : { port: String(port) }),
    ...(key ? { key: `0x${key.toString('hex')}` } : {}),
    ...(connect === undefined ? {} : { connect: String(connect) }),
  }
}

/** Whether the entry, as it was read, has these options and no others. */
function isSame(there: object, entry: Options): boolean {
  const { type: _, ...options } = there as Record<string, unknown>
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return given.length === Object.keys(entry).length && given.every(([key, value]) => entry[key] === String(value))
}

/** Of a link, where it leads: the file of the user may be kept elsewhere. With sudo, it can be the home of another user. */
function realPath(file: string, linksLeft = mostLinks): string {
  const link = fs.lstatSync(file, { throwIfNoEntry: false })
  if (!link?.isSymbolicLink()) return file
  if (link.uid !== 0 && link.uid !== process.geteuid?.())
    throw new UserError(`${file} is a symbolic link of another user`, 'run the command as that user')
  if (linksLeft === 0) throw new UserError(`${file} leads through too many symbolic links`)
  // Directories on the way are looked at where the file is written.
  return realPath(path.resolve(realDirectory(path.dirname(file)), fs.readlinkSync(file)), linksLeft - 1)
}

const realDirectory = (directory: string) => (process.geteuid?.() === 0 ? directory : fs.realpathSync(directory))

function write(file: string, name: string, entry: Options): void {
  try {
    makeOwnedDirectory(path.dirname(file))
    const before = fs.existsSync(file) ? readNamed(file, maxBytes).toString() : ''
    const space = before === '' ? '' : before.endsWith('\n') ? '\n' : '\n\n'
    const content = `${before}${space}${stringify({ [name]: entry })}`
    const prepare = (descriptor: number, directory: string) => {
      keepOwner(descriptor, path.join(directory, path.basename(file)))
    }
    const next = writeTemporary(file, content, { mode: privateFile, sync: true, prepare })
    try {
      checkEntry(`${file}.new`, file, name, entry)
      next.replace()
    } catch (error) {
      next.discard()
      throw error
    } finally {
      fs.closeSync(next.descriptor)
    }
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`${file} cannot be written: ${reasonOf(error)}`)
  }
}

function keepOwner(descriptor: number, file: string): void {
  const there = fs.lstatSync(file, { throwIfNoEntry: false })
  if (there?.isFile()) fs.fchownSync(descriptor, there.uid, there.gid)
}

/** A file in another style of YAML may not take an entry at its end. */
function checkEntry(written: string, file: string, name: string, entry: Options): void {
  let found: object | undefined
  try {
    found = findHostEntry(name, written)
  } catch {
    found = undefined
  }
  if (found && isSame(found, entry)) return
  throw new UserError(
    `${file} takes no host entry at its end`,
    'write its entries as NAME: at the start of a line, as docs/client.md shows',
  )
}
