/**
 * The credentials of type ssh in a configuration, and the files of their keys. They are read from the YAML, so that users
 * can be added before the files exist.
 */
import * as path from 'node:path'
import { isMapping, readMerged, socketIn } from '../config/index.js'
import { quote, UserError } from '../util/index.js'

export interface KeyPlace {
  /** The name of the credential. */
  readonly credential: string
  /** Names of services. */
  readonly opens: readonly string[]
  /** Absolute paths of authorized_keys files. */
  readonly files: readonly string[]
  /** authorized_keys files in home directories: a file of a user who can change it alone. */
  readonly homes: readonly HomeFile[]
  /** Absolute paths of files with revoked keys. */
  readonly revoked: readonly string[]
  /** Of the daemon. */
  readonly socket: string
}

/** As the configuration writes it: `~alice/.ssh/authorized_keys`. */
export interface HomeFile {
  readonly written: string
  readonly user: string
  /** Below the home directory. */
  readonly path: string
}

const example = 'credentials: { people: { type: ssh, authorized-keys: authorized_keys, opens: [ssh] } }'

/** In the order of the configuration. Throws a ConfigError for one that is not YAML. */
export function keyPlaces(config: string): KeyPlace[] {
  const merged = readMerged(config)
  const { value } = merged
  const credentials = isMapping(value['credentials']) ? Object.entries(value['credentials']) : []
  const socket = socketIn(merged)
  return credentials.flatMap(([credential, options]) => {
    if (!isMapping(options) || options['type'] !== 'ssh') return []
    const filesOf = (option: string) => {
      const directory = path.dirname(merged.fileOf(['credentials', credential, option]))
      // A file below the home directory of another user is that user's.
      return listOf(options[option]).flatMap(file => (file.startsWith('~') ? [] : [path.resolve(directory, file)]))
    }
    const opens = listOf(options['opens'])
    const homes = listOf(options['authorized-keys']).flatMap(homeFile)
    const [files, revoked] = [filesOf('authorized-keys'), filesOf('revoked-keys')]
    return [{ credential, opens, homes, files, revoked, socket }]
  })
}

function homeFile(written: string): HomeFile[] {
  const [, user, below] = /^~([^/]+)\/(.+)$/.exec(written) ?? []
  return user !== undefined && below !== undefined ? [{ written, user, path: below }] : []
}

const listOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter((each): each is string => typeof each === 'string')

/** The credential of that name, or the only one. Throws a UserError. */
export function placeFor(places: readonly KeyPlace[], name: string | undefined, config: string): KeyPlace {
  const [only, ...more] = places
  const names = places.map(({ credential }) => credential).join(', ')
  if (only === undefined) throw new UserError(`${config} has no credential of type ssh`, `for instance ${example}`)
  if (name === undefined) {
    if (more.length === 0) return only
    throw new UserError('there are several credentials of type ssh', `name one with --credential: ${names}`)
  }
  const found = places.find(({ credential }) => credential === name)
  if (found) return found
  throw new UserError(`there is no credential ${quote(name)} of type ssh`, `there are ${names}`)
}
