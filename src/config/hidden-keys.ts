/**
 * Files of users' keys that root, who runs a command, can read and the service cannot. A home directory may be on a file
 * system that does not answer: programs look at it, which are given up, because a read of this process would keep it from
 * its end.
 */
import { execute } from '../util/index.js'
import type { KeyPath } from './credentials/any-credential.js'
import type { HiddenFile } from './daemon-access.js'
import { directoriesAbove, eachOnce, hiddenFile, hiddenFiles } from './daemon-access.js'
import type { DaemonUser } from './daemon-user.js'
import { daemonUser } from './daemon-user.js'
import { locateKeyFile } from './read-trusted-key-file.js'
import type { Config } from './types.js'

/** What closes ports does not wait longer. */
const patienceMilliseconds = 2000

interface HiddenKeys {
  readonly files: readonly HiddenFile[]
  readonly isHidden: (file: KeyPath) => boolean
}

const none: HiddenKeys = { files: [], isHidden: () => false }

/** Those of enabled credentials; none for other users than root. Never rejects. */
export async function hiddenKeys({ credentials }: Pick<Config, 'credentials'>): Promise<HiddenKeys> {
  const user = process.geteuid?.() === 0 ? daemonUser() : undefined
  if (!user) return none
  const keys = credentials
    .flatMap(one => (one.type === 'ssh' && one.enabled ? [one] : []))
    .flatMap(one => [...one.authorizedKeys, ...one.caKeys, ...one.revokedKeys])
  try {
    const elsewhere = keys.flatMap(key =>
      key.user === null ? hiddenFiles([key.path]).map(file => ({ key, file })) : [],
    )
    const inHomes = await hiddenInHomes(keys, user).catch(() => [])
    const hidden = [...elsewhere, ...inHomes]
    const written = new Set(hidden.map(({ key }) => key))
    return { files: eachOnce(hidden.map(({ file }) => file)), isHidden: key => written.has(key) }
  } catch {
    return none
  }
}

interface HiddenKey {
  readonly key: KeyPath
  readonly file: HiddenFile
}

async function hiddenInHomes(keys: readonly KeyPath[], user: DaemonUser): Promise<HiddenKey[]> {
  const located = keys
    .filter(key => key.user !== null)
    .map(async key => ({ key, place: await locateKeyFile(key).catch(() => undefined) }))
  const known = (await Promise.all(located)).flatMap(({ key, place }) => (place === undefined ? [] : [{ key, place }]))
  if (known.length === 0) return []
  const limits = { milliseconds: patienceMilliseconds }
  const places = await execute('realpath', ['-mz', '--', ...known.map(({ place }) => place)], '', limits)
  const real = places.stdout.split('\0').slice(0, -1)
  // Without one for each, it is not known which is whose.
  if (real.length !== known.length) return []
  const stats = await statsOf([...new Set(real.flatMap(file => [...directoriesAbove(file), file]))])
  const statOf = (file: string) => {
    const found = stats.get(file)
    if (!found) throw new Error(`${file} is not there`)
    return found
  }
  return known.flatMap(({ key }, i) => {
    const file = real[i] ?? ''
    // A key file that is not there hides nothing.
    if (!stats.has(file)) return []
    const hidden = hiddenFile(user, file, statOf)
    return hidden ? [{ key, file: hidden }] : []
  })
}

interface Rights extends DaemonUser {
  readonly mode: number
}

async function statsOf(files: readonly string[]): Promise<ReadonlyMap<string, Rights>> {
  const format = ['%f', '%u', '%g', '%n'].join(' ')
  const limits = { milliseconds: patienceMilliseconds }
  const { stdout } = await execute('stat', [`--printf=${format}\\0`, '--', ...files], '', limits)
  return new Map(
    stdout
      .split('\0')
      .slice(0, -1)
      .map(line => {
        const [mode = '', uid, gid, ...name] = line.split(' ')
        return [name.join(' '), { mode: parseInt(mode, 16), uid: Number(uid), gid: Number(gid) }]
      }),
  )
}
