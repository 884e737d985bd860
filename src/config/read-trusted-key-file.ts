/**
 * Files with keys of users, which count only where no one else can change them: as sshd does with StrictModes, pkctl takes
 * a file only from root, from its own user, or from the user in whose home directory it is, and only if neither group nor
 * others can write it or a directory above it. The same is asked of each link on the way. A directory such as /tmp, in which
 * each user can change only what is theirs, is no danger to what another user has there.
 *
 * A home directory is its user's: a link there can lead a daemon of root anywhere. So what is read for that user is only
 * what that user can read, which sshd has by becoming that user.
 */
import type { BigIntStats } from 'node:fs'
import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import * as path from 'node:path'
import { oneLine, reasonOf } from '../util/index.js'
import type { KeyPath } from './credentials/any-credential.js'

export interface KeyFile {
  /** The same where the file need not be read again. */
  readonly stamp: string
  /** What is in it, or why it does not count: one line, without a full stop. */
  readonly content: Buffer | string
}

/** Room for more than a hundred thousand keys. */
const maxSize = 16 * 1024 * 1024
const writableByOthers = 0o022
const sticky = 0o1000
const othersRead = 0o004
const othersSearch = 0o001
/** As Linux. */
const mostLinks = 40

/** A file that was changed so short ago could have changed again without another time. */
const racyNanoseconds = 2_000_000_000n

class KeyFileRefused extends Error {}

/** Reads the file for a daemon with this user id. Undefined where it is as it was at `known`. Never rejects. */
export async function readKeyFile(file: KeyPath, daemon: number, known?: string): Promise<KeyFile | undefined> {
  const name = oneLine(file.written)
  try {
    const { place, owner } = await locate(file)
    const trust = { owners: new Set([0, daemon, ...(owner === undefined ? [] : [owner])]), reader: owner }
    return await readChecked(await resolve(place, trust), trust, known)
  } catch (error) {
    const reason =
      error instanceof KeyFileRefused ? error.message : `${name} cannot be read: ${reasonOf(error)}${hintFor(error)}`
    const stamp = `refused: ${reason}`
    return stamp === known ? undefined : { stamp, content: reason }
  }
}

/** Homes are not for daemons. */
function hintFor(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EACCES' ? '; keep a copy in /etc/pkctl/keys that the group of pkctld can read' : ''
}

/** Where the file is. Rejects where that is not known. */
export const locateKeyFile = async (file: KeyPath): Promise<string> => (await locate(file)).place

async function locate({ user, path: file, written }: KeyPath): Promise<{ place: string; owner?: number }> {
  if (user === null) return { place: file }
  const lines = (await fs.readFile('/etc/passwd', 'utf8')).split('\n')
  const [, , uid, , , home] = lines.map(line => line.split(':')).find(([name]) => name === user) ?? []
  if (!home?.startsWith('/') || !/^\d+$/.test(uid ?? '')) {
    throw new KeyFileRefused(`${oneLine(written)} cannot be found: /etc/passwd has no user ${user}`)
  }
  return { place: path.join(home, file), owner: Number(uid) }
}

interface Trust {
  /** Who may own a file, a directory or a link. */
  readonly owners: ReadonlySet<number>
  /** Who must be able to read the file; undefined where it is in no home directory. */
  readonly reader: number | undefined
}

/** The path without links. Checks every directory and every link on the way, in the order in which the kernel does. */
async function resolve(place: string, trust: Trust): Promise<string> {
  const names = path.resolve(place).split('/').filter(Boolean)
  let at = '/'
  checkDirectory(at, await fs.lstat(at, { bigint: true }), trust)
  for (let links = 0; ;) {
    const name = names.shift()
    if (name === undefined) return at
    if (name === '..') {
      at = path.dirname(at)
      continue
    }
    const next = path.join(at, name)
    const stat = await fs.lstat(next, { bigint: true })
    if (stat.isSymbolicLink()) {
      checkOwner(next, stat, trust)
      if (++links > mostLinks) throw new KeyFileRefused(`${oneLine(place)} leads through more than ${mostLinks} links`)
      const target = await fs.readlink(next)
      names.unshift(...target.split('/').filter(part => part !== '' && part !== '.'))
      if (path.isAbsolute(target)) at = '/'
    } else {
      at = next
      if (names.length > 0) checkDirectory(at, stat, trust)
    }
  }
}

function checkDirectory(directory: string, stat: BigIntStats, trust: Trust): void {
  checkOwner(directory, stat, trust)
  const mode = Number(stat.mode)
  if ((mode & writableByOthers) !== 0 && (mode & sticky) === 0) throw new KeyFileRefused(writable(directory, stat))
  checkReader(directory, stat, othersSearch, trust)
}

async function readChecked(file: string, trust: Trust, known?: string): Promise<KeyFile | undefined> {
  // A pipe would be waited for.
  const handle = await fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  try {
    const stat = await handle.stat({ bigint: true })
    if (!stat.isFile()) throw new KeyFileRefused(`${oneLine(file)} is not a regular file`)
    checkOwner(file, stat, trust)
    if ((Number(stat.mode) & writableByOthers) !== 0) throw new KeyFileRefused(writable(file, stat))
    checkReader(file, stat, othersRead, trust)
    // Another directory may have come into its place, after it was checked.
    if ((await fs.readlink(`/proc/self/fd/${handle.fd}`)) !== file)
      throw new KeyFileRefused(`${oneLine(file)} is being replaced`)
    if (stat.size > maxSize) throw new KeyFileRefused(`${oneLine(file)} is larger than ${maxSize} bytes`)
    const { dev, ino, size, mtimeNs, ctimeNs, mode, uid } = stat
    const now = BigInt(Date.now()) * 1_000_000n
    const isRacy = now - ctimeNs < racyNanoseconds
    const stamp = [file, dev, ino, size, mtimeNs, ctimeNs, mode, uid, isRacy ? now : ''].join(' ')
    if (stamp === known) return undefined
    const content = Buffer.alloc(Number(size) + 1)
    const { bytesRead } = await handle.read(content, 0, content.length, 0)
    if (bytesRead !== Number(size)) throw new KeyFileRefused(`${oneLine(file)} changes while it is read`)
    return { stamp, content: content.subarray(0, bytesRead) }
  } finally {
    await handle.close()
  }
}

function checkReader(file: string, { uid, mode }: BigIntStats, bit: number, { reader }: Trust): void {
  if (reader === undefined || Number(uid) === reader || (Number(mode) & bit) !== 0) return
  throw new KeyFileRefused(
    `${oneLine(file)} cannot be read by the user in whose home directory the keys are looked for`,
  )
}

function checkOwner(file: string, { uid }: BigIntStats, { owners }: Trust): void {
  if (owners.has(Number(uid))) return
  throw new KeyFileRefused(
    `${oneLine(file)} belongs to the user with the number ${uid}, who could change the keys; chown it`,
  )
}

function writable(file: string, { mode }: BigIntStats): string {
  const octal = (Number(mode) & 0o7777).toString(8).padStart(4, '0')
  return `${oneLine(file)} can be written by group or others (mode ${octal}); chmod go-w ${oneLine(file)}`
}
