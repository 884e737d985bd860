/**
 * Keys of a user in home directories. pkctl leaves those files as they are, because they are sshd's as well and their
 * owners can write the keys into them again: what takes such a key away is a list of revoked keys.
 */
import { locateKeyFile } from '../config/index.js'
import { parseRevocations, SshFormatError } from '../knock/openssh/index.js'
import { UserError } from '../util/index.js'
import { readBytes, readKeyFile } from './key-file.js'
import type { UserLine } from './key-lines.js'
import { readUsers } from './key-lines.js'
import type { HomeFile, KeyPlace } from './key-places.js'
import { isTextList, listKeys } from './revoked-list.js'

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

/** Puts the keys of the user that are in home directories into the lists of revoked keys of their credentials. */
export async function revokeHomeKeys(places: readonly KeyPlace[], name: string): Promise<HomeRevocation> {
  const [revoked, listed]: [HomeKey[], HomeKey[]] = [[], []]
  const [left, listedIn]: [string[], Set<string>] = [[], new Set()]
  for (const place of places) {
    for (const home of place.homes) {
      const keys = await keysOf(home, place, name).catch((error: unknown) => {
        if (!(error instanceof UserError)) throw error
        if (home.user === name) left.push(`the keys of ${name} for ${place.credential} may count: ${error.message}`)
        return []
      })
      const fresh = keys.filter(key => !isRevoked(place, key))
      const list = place.revoked.find(isTextList)
      if (fresh.length > 0 && list === undefined) {
        const list = place.revoked.length > 0 ? 'list of revoked keys in text' : 'list of revoked keys'
        const where = `the key is in ${home.written}, and the credential has no ${list}`
        left.push(`${name} may still knock for ${place.credential}: ${where}`)
        continue
      }
      if (list !== undefined && fresh.length > 0 && listKeys(list, fresh)) listed.push(...fresh)
      if (list !== undefined && keys.length > 0) listedIn.add(list)
      revoked.push(...keys)
    }
  }
  return { revoked, listed, listedIn: [...listedIn], left }
}

/** In the file of the user all keys are theirs; in those of others, the lines with the name. */
async function keysOf(home: HomeFile, { credential }: KeyPlace, name: string): Promise<HomeKey[]> {
  // Where there is no such user, there are no keys.
  const file = await locateKeyFile(home).catch(() => undefined)
  if (file === undefined) return []
  return readUsers(readKeyFile(file), file)
    .users.filter(line => !line.isCertAuthority && (home.user === name || line.comment === name))
    .map(line => ({ ...line, credential, file }))
}

function isRevoked({ revoked }: KeyPlace, { key }: HomeKey): boolean {
  return revoked.some(list => {
    try {
      return parseRevocations(readBytes(list) ?? Buffer.alloc(0)).isRevoked(key)
    } catch (error) {
      if (error instanceof SshFormatError) return false
      throw error
    }
  })
}
