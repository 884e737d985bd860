/** Users of all credentials of type ssh: added, listed and revoked. */
import type { KeyProblem, KeyText, SshPublicKey } from '../knock/openssh/index.js'
import { parsePublicKey, readKeyText, SshFormatError } from '../knock/openssh/index.js'
import { UserError } from '../util/index.js'
import { readBytes, readUserKeys, writeKeyFile } from './edit-key-file.js'
import type { NewUser, UserLine } from './key-lines.js'
import { optionsText, readUsers, withoutUser, withUser } from './key-lines.js'
import type { KeyPlace } from './key-places.js'
import { isTextList, listKeys } from './revoked-list.js'

/** A user, and where the line is. */
export interface CredentialUser extends UserLine {
  readonly credential: string
  readonly file: string
}

interface Users {
  readonly users: readonly CredentialUser[]
  readonly problems: readonly KeyProblem[]
}

/** In the order of the configuration and of the files. */
export function allUsers(places: readonly KeyPlace[]): Users {
  const found = places.flatMap(({ credential, files }) =>
    files.map(file => {
      const { users, problems } = readUsers(readUserKeys(file), file)
      return { users: users.map(user => ({ ...user, credential, file })), problems }
    }),
  )
  return { users: found.flatMap(({ users }) => users), problems: found.flatMap(({ problems }) => problems) }
}

interface Added {
  readonly changed: boolean
  readonly file: string
  /** Lists of revoked keys that were made, empty: no key counts while one of them is missing. */
  readonly made: readonly string[]
}

/** Adds the user to the first file of the credential. Throws a UserError where the name or the key is taken. */
export function addUser({ credential, files, revoked, opens }: KeyPlace, user: NewUser): Added {
  const [file] = files
  if (file === undefined) {
    throw new UserError(
      `credential ${credential} has no authorized-keys of its own`,
      'name a file in the configuration, for instance authorized-keys: authorized_keys',
    )
  }
  const more = user.opens?.find(service => !opens.includes(service))
  if (more !== undefined)
    throw new UserError(`credential ${credential} does not open ${more}`, `it opens ${opens.join(', ') || 'nothing'}`)
  // The line may be in any of its files; it is added to the first.
  for (const other of files.slice(1)) {
    if (withUser(readUserKeys(other), other, user) === undefined) return { changed: false, file: other, made: [] }
  }
  const before = readUserKeys(file)
  const text = withUser(before, file, user)
  if (text !== undefined) writeKeyFile(file, before, text)
  const made = revoked.filter(list => readBytes(list) === undefined)
  for (const list of made) writeKeyFile(list, '', '')
  return { changed: text !== undefined, file, made }
}

interface Revoked {
  /** The lines that were removed; none where there is no such user. */
  readonly removed: readonly CredentialUser[]
  /** Files of revoked keys in which the keys are now. */
  readonly listedIn: readonly string[]
}

/**
 * Removes the user from all files of the credentials. The keys go into their list of revoked keys first, where there is one
 * in text, so that a copy of a line elsewhere counts no longer, either.
 */
export function revokeUser(places: readonly KeyPlace[], name: string): Revoked {
  const removed: CredentialUser[] = []
  const listedIn = new Set<string>()
  for (const { credential, files, revoked } of places) {
    for (const file of files) {
      const before = readUserKeys(file)
      const { text, removed: lines } = withoutUser(before, file, name)
      if (lines.length === 0) continue
      const list = revoked.find(isTextList)
      if (list !== undefined) {
        listKeys(list, lines)
        listedIn.add(list)
      }
      writeKeyFile(file, before, text)
      removed.push(...lines.map(line => ({ ...line, credential, file })))
    }
  }
  return { removed, listedIn: [...listedIn] }
}

/** The keys in an authorized_keys file, each once, without those of authorities. Throws a UserError. */
export function keysIn(file: string): { keys: readonly UserLine[]; problems: readonly KeyProblem[] } {
  const { users, problems } = readUsers(readUserKeys(file), file)
  const keys: UserLine[] = []
  for (const line of users) {
    if (line.isCertAuthority) continue
    const earlier = keys.find(({ key }) => key.blob.equals(line.key.blob))
    if (!earlier) keys.push(line)
    else if (optionsText(earlier) !== optionsText(line))
      throw new UserError(
        `lines ${earlier.line} and ${line.line} of ${file} have the same key with other options`,
        'remove one of them',
      )
  }
  return { keys, problems }
}

/** A public key in text, as a `.pub` file has it. Throws a UserError. */
export function publicKeyIn(content: string, where: string): { text: KeyText; key: SshPublicKey } {
  const line = content.trim()
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(line))
    throw new UserError(
      `${where} is a private key, which stays with its user`,
      'give the public key: the file that ends with .pub',
    )
  try {
    const text = readKeyText(line)
    if (text && !line.includes('\n')) return { text, key: parsePublicKey(text.blob) }
  } catch (error) {
    if (!(error instanceof SshFormatError)) throw error
    throw new UserError(`${where} is no public key: ${error.message}`)
  }
  throw new UserError(`${where} is no public key`, 'expected one line such as ssh-ed25519 AAAA…')
}
