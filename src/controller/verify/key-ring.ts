/** The keys of one credential, out of the files that the configuration names: those of users, those of CAs, and what is revoked. */
import type { AuthorizedKey, Revocations } from '../../knock/openssh/index.js'
import { readRevocations, SshFormatError } from '../../knock/openssh/index.js'
import type { Slices } from '../../util/index.js'
import { inSlices, oneLine } from '../../util/index.js'
import { KeyIndex } from './key-index.js'
import type { CredentialKeys, KeysReport } from './signature-job.js'

/** A line of a file, with the user in whose home that is. */
export interface KeyLine {
  readonly line: AuthorizedKey
  readonly user: string | null
}

/** A file with keys of users, of CAs, or both. */
interface RingFile {
  readonly role: 'authorized' | 'authority'
  /** As the configuration names it, and in whose home it is. */
  readonly file: string
  readonly user: string | null
  readonly index: KeyIndex
}

interface RingRevocations {
  readonly bytes: Buffer
  readonly list: Revocations
}

/** The keys of one credential. */
export interface KeyRing {
  readonly keys: CredentialKeys
  readonly files: readonly RingFile[]
  readonly revocations: readonly RingRevocations[]
  readonly isShut: boolean
}

export function usersOf({ files }: KeyRing, fingerprint: Buffer): KeyLine[] {
  const own = files.filter(({ role }) => role === 'authorized')
  return own.flatMap(({ index, user }) => index.find(fingerprint).map(line => ({ line, user })))
}

/** In a file of CAs, every key is that of one. */
export function authoritiesOf({ files }: KeyRing, fingerprint: Buffer): KeyLine[] {
  return files.flatMap(({ role, index, user }) => {
    const plain = role === 'authority' ? index.find(fingerprint) : []
    return [...index.findAuthority(fingerprint), ...plain].map(line => ({ line, user }))
  })
}

/** The names of which a certificate must have one: those of the line, else of the credential, else that of its user. */
export function principalsOf({ keys }: KeyRing, { line, user }: KeyLine): readonly string[] {
  if (line.principals) return line.principals
  return keys.principals.length > 0 || user === null ? keys.principals : [user]
}

/** `earlier`: the files as they were before, by role and name. */
export async function readRing(
  keys: CredentialKeys,
  earlier: KeyRing | undefined,
  slices: Slices,
): Promise<{ ring: KeyRing; report: KeysReport }> {
  const files: RingFile[] = []
  const revocations: RingRevocations[] = []
  const problems: string[] = []
  let isShut = keys.isShut
  for (const { role, file, user, content } of keys.files) {
    const bytes = Buffer.from(content.buffer, content.byteOffset, content.length)
    if (role === 'revoked') {
      try {
        const same = earlier?.revocations.find(list => list.bytes.equals(bytes))
        revocations.push(same ?? { bytes, list: await inSlices(readRevocations(bytes), slices) })
      } catch (error) {
        if (!(error instanceof SshFormatError)) throw error
        problems.push(`${oneLine(file)}: ${error.message}; no key of ${keys.name} counts until that is repaired`)
        isShut = true
      }
      continue
    }
    const before = earlier?.files.find(one => one.file === file && one.role === role)
    const index = await KeyIndex.read(bytes, slices, before?.index)
    problems.push(...index.problems.map(({ line, message }) => `${oneLine(file)}:${line}: ${message}`))
    files.push({ role, file, user, index })
  }
  const users = files.flatMap(({ role, index }) => (role === 'authority' ? [] : [index.users]))
  const authorities = files.flatMap(({ role, index }) =>
    role === 'authority' ? [index.users, index.authorities] : [index.authorities],
  )
  return {
    ring: { keys, files, revocations, isShut },
    report: { credential: keys.name, keys: countOf(users), authorities: countOf(authorities), problems },
  }
}

/** How many different keys there are; mostly all of them are in one file. */
function countOf(maps: readonly ReadonlyMap<string, unknown>[]): number {
  const [first, ...more] = maps.filter(({ size }) => size > 0)
  return more.length === 0 ? (first?.size ?? 0) : new Set(maps.flatMap(map => [...map.keys()])).size
}
