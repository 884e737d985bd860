/**
 * Keys of a user in home directories. pkctl leaves those files as they are, because they are sshd's as well and their
 * owners can write the keys into them again: what takes such a key away is a list of revoked keys.
 *
 * What the owner of a home writes there takes no access from others: everyone's public keys are known, and a comment can name
 * any user. So a key is listed only if it counts for no other user, and a comment in the home of another user is not believed.
 */
import { locateKeyFile } from '../config/index.js'
import type { SshPublicKey } from '../knock/openssh/index.js'
import { parseRevocations, SshFormatError } from '../knock/openssh/index.js'
import { count, UserError } from '../util/index.js'
import { readBytes, readUserKeys } from './edit-key-file.js'
import type { UserLine } from './key-lines.js'
import { fingerprintText, readUsers } from './key-lines.js'
import type { HomeFile, KeyPlace } from './key-places.js'
import { isTextList, listKeys, ListTooLargeError } from './revoked-list.js'

interface HomeKey extends UserLine {
  readonly credential: string
  readonly file: string
}

interface HomeRevocation {
  /** Those that count no longer, from now on or already. */
  readonly revoked: readonly HomeKey[]
  /** Those of them that count no longer from now on. */
  readonly listed: readonly HomeKey[]
  /** The lists of revoked keys in which they are. */
  readonly listedIn: readonly string[]
  /** Why keys still count, or may count: one line each, without a full stop. */
  readonly left: readonly string[]
}

/**
 * Puts the keys of the user that are in home directories into the lists of revoked keys of their credentials. `everywhere`: the
 * credentials whose users could lose access by the same lists.
 */
export async function revokeHomeKeys(
  places: readonly KeyPlace[],
  name: string,
  everywhere: readonly KeyPlace[] = places,
): Promise<HomeRevocation> {
  const [revoked, listed]: [HomeKey[], HomeKey[]] = [[], []]
  const [left, listedIn]: [string[], Set<string>] = [[], new Set()]
  const files = new KeyFiles()
  for (const place of places.filter(({ homes }) => homes.length > 0)) {
    const isRevoked = revocationsOf(place)
    const list = place.revoked.find(isTextList)
    const owners = await ownersOf(files, name, place, everywhere)
    for (const home of place.homes) {
      const mayKnock = (why: string) => left.push(`${name} may still knock for ${place.credential}: ${why}`)
      const keys = await keysOf(files, home, place, name).catch((error: unknown) => {
        if (!(error instanceof UserError)) throw error
        if (home.user === name) left.push(`the keys of ${name} for ${place.credential} may count: ${error.message}`)
        return []
      })
      const fresh = keys.filter(({ key }) => !isRevoked(key))
      if (fresh.length > 0 && list === undefined) {
        const list = place.revoked.length > 0 ? 'list of revoked keys in text' : 'list of revoked keys'
        mayKnock(`the key is in ${home.written}, and the credential has no ${list}`)
        continue
      }
      const doubtful = fresh.filter(({ key }) => !owners.isOfUser(key) && (home.user !== name || owners.other(key)))
      const [first] = doubtful
      if (first) {
        const other = home.user === name ? owners.other(first.key) : undefined
        const why = other ? `is in ${other} as well` : `is theirs only by a comment in ${home.written}`
        const more = doubtful.length > 1 ? `; the same applies to ${count(doubtful.length - 1, 'other key')}` : ''
        mayKnock(`the key ${fingerprintText(first.key)} ${why}, so it is not listed as revoked${more}`)
      }
      const certain = keys.filter(key => !doubtful.includes(key))
      const added = fresh.filter(key => !doubtful.includes(key))
      try {
        if (list !== undefined && added.length > 0 && listKeys(list, added)) listed.push(...added)
      } catch (error) {
        if (!(error instanceof ListTooLargeError)) throw error
        mayKnock(`with the ${count(added.length, 'key')} of ${home.written}, ${error.message}`)
        continue
      }
      if (list !== undefined && certain.length > 0) listedIn.add(list)
      revoked.push(...certain)
    }
  }
  return { revoked, listed, listedIn: [...listedIn], left }
}

/** Each file is read once, because it can have very many lines. */
class KeyFiles {
  readonly #read = new Map<string, readonly UserLine[]>()

  /** Throws a UserError. */
  linesIn(file: string): readonly UserLine[] {
    const known = this.#read.get(file)
    if (known) return known
    const lines = readUsers(readUserKeys(file), file).users.filter(line => !line.isCertAuthority)
    this.#read.set(file, lines)
    return lines
  }
}

/** In the file of the user all keys are theirs; in those of others, the lines with the name. */
async function keysOf(files: KeyFiles, home: HomeFile, { credential }: KeyPlace, name: string): Promise<HomeKey[]> {
  // Where there is no such user, there are no keys.
  const file = await locateKeyFile(home).catch(() => undefined)
  if (file === undefined) return []
  return files
    .linesIn(file)
    .filter(line => home.user === name || line.comment === name)
    .map(line => ({ ...line, credential, file }))
}

interface Owners {
  /** Whether a file that is in no home directory says that the key is the user's. */
  isOfUser(key: SshPublicKey): boolean
  /** Where the key counts for another user. */
  other(key: SshPublicKey): string | undefined
}

/** Of the keys that the lists of revoked keys of the credential concern. */
async function ownersOf(
  files: KeyFiles,
  name: string,
  { credential, revoked }: KeyPlace,
  everywhere: readonly KeyPlace[],
): Promise<Owners> {
  const [own, others] = [new Set<string>(), new Map<string, string>()]
  const add = (file: string, written: string, isHome: boolean) => {
    for (const { key, comment } of linesOrNone(files, file)) {
      const blob = key.blob.toString('latin1')
      if (!isHome && comment === name) own.add(blob)
      else others.set(blob, written)
    }
  }
  for (const place of everywhere) {
    if (place.credential !== credential && !place.revoked.some(list => revoked.includes(list))) continue
    for (const file of place.files) add(file, file, false)
    for (const home of place.homes) {
      const file = home.user === name ? undefined : await locateKeyFile(home).catch(() => undefined)
      if (file !== undefined) add(file, home.written, true)
    }
  }
  return {
    isOfUser: ({ blob }) => own.has(blob.toString('latin1')),
    other: ({ blob }) => others.get(blob.toString('latin1')),
  }
}

/** The keys of a file that cannot be read do not count. */
function linesOrNone(files: KeyFiles, file: string): readonly UserLine[] {
  try {
    return files.linesIn(file)
  } catch (error) {
    if (error instanceof UserError) return []
    throw error
  }
}

/** Reads the lists once for all keys. */
function revocationsOf({ revoked }: KeyPlace): (key: SshPublicKey) => boolean {
  const lists = revoked.flatMap(list => {
    try {
      return [parseRevocations(readBytes(list) ?? Buffer.alloc(0))]
    } catch (error) {
      if (error instanceof SshFormatError) return []
      throw error
    }
  })
  return key => lists.some(list => list.isRevoked(key))
}
