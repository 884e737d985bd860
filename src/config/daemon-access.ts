/** What the user of the daemon can read and write, with the systemd unit that the packages install. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { configDirectory, defaultStateDirectory, logDirectory, runDirectory } from '../util/index.js'
import type { DaemonUser } from './daemon-user.js'
import { daemonUser } from './daemon-user.js'
import type { Config } from './types.js'

/** The unit makes them, and lets the daemon write nowhere else unless a drop-in has more. */
const ownDirectories = { state: defaultStateDirectory, log: logDirectory, socket: runDirectory } as const

type StatOf = (file: string) => Pick<fs.Stats, 'mode' | 'uid' | 'gid'>

/** Every directory above the file, from the root on. */
export const directoriesAbove = (file: string): string[] => [
  ...new Set(file.split('/').map((_, i, parts) => parts.slice(0, i).join('/') || '/')),
]

/** The first directory above the file that the user cannot pass; or the file, if the user has none of the right to it. */
function hiddenFrom(user: DaemonUser, file: string, right: number, statOf: StatOf = fs.statSync): string | undefined {
  const components = directoriesAbove(file).map(component => ({ component, bit: 0o1 }))
  return [...components, { component: file, bit: right }].find(({ component, bit }) => {
    const { mode, uid, gid } = statOf(component)
    const shift = uid === user.uid ? 6 : gid === user.gid ? 3 : 0
    return ((mode >> shift) & bit) !== bit
  })?.component
}

/** Whether the service can write the file, or make it where it is not there yet. */
function daemonCanWrite(user: DaemonUser, file: string): boolean {
  const place = [file, path.dirname(file)].find(one => fs.existsSync(one))
  const isOwn = Object.values(ownDirectories).some(directory => `${file}/`.startsWith(`${directory}/`))
  if (!isOwn || place === undefined) return isOwn
  const real = fs.realpathSync(place)
  return hiddenFrom(user, real, fs.statSync(real).isDirectory() ? 0o3 : 0o2) === undefined
}

export interface HiddenFile {
  readonly path: string
  /** The file itself, or the directory above it that keeps the daemon out. */
  readonly shut: string
  readonly advice: string
}

/**
 * Which of the files root can read and the service cannot: its next start would fail, and no knock would work. None where
 * there is no service user.
 */
export function hiddenFiles(files: Iterable<string>): HiddenFile[] {
  const user = daemonUser()
  if (!user) return []
  const places = new Set([...files].flatMap(name => realPath(name) ?? []))
  return eachOnce([...places].flatMap(file => hiddenFile(user, file) ?? []))
}

/** Undefined where the user can read the file, which has no link on the way. `statOf` gives what is known of it. */
export function hiddenFile(user: DaemonUser, file: string, statOf: StatOf = fs.statSync): HiddenFile | undefined {
  const shut = hiddenFrom(user, file, 0o4, statOf)
  return shut === undefined ? undefined : { path: file, shut, advice: accessAdvice(shut, file) }
}

/** One of those for which the same has to be done. */
export const eachOnce = (hidden: readonly HiddenFile[]): HiddenFile[] => [
  ...new Map(hidden.map(one => [one.advice, one])).values(),
]

/**
 * How the service gets to read the file. Directories elsewhere, such as the home of root, stay shut: for the sake of one
 * file, the group would get into all that is in them.
 */
function accessAdvice(shut: string, file: string): string {
  const isDirectory = shut !== file
  if (!isDirectory || shut === configDirectory || shut.startsWith(`${configDirectory}/`))
    return `chgrp pkctl ${shut}; chmod ${isDirectory ? 'g+x' : 'g+r'} ${shut}`
  const into = /\.ya?ml$/.test(file) ? configDirectory : `${configDirectory}/keys`
  return `install -g pkctl -m 640 ${file} ${into}/, and name that file instead`
}

/** Undefined for what is not there, such as a pipe of the shell that has ended. */
function realPath(file: string): string | undefined {
  try {
    return fs.realpathSync(file)
  } catch {
    return undefined
  }
}

export interface UnwritablePath {
  readonly option: string
  readonly path: string
  /** What comes of it. */
  readonly effect: string
  readonly advice: string
  /** Whether knocks open nothing by it. */
  readonly isFatal: boolean
}

/** Paths of the configuration that the service cannot write; none where there is no service user. */
export function unwritablePaths({ log, stateDirectory, socket, metrics, credentials }: Config): UnwritablePath[] {
  const user = daemonUser()
  if (!user) return []
  const fatal = 'it does not start, and no knock opens what is closed'
  const logFile = typeof log.to === 'string' ? [] : [{ path: log.to.file, effect: 'it logs to the journal instead' }]
  const { listen, textfile } = metrics
  const unseen = { isFatal: false, effect: 'Prometheus gets no metrics' }
  const sockets = listen && 'path' in listen ? [{ path: listen.path, option: 'metrics.listen', ...unseen }] : []
  const textfiles = textfile === null ? [] : [{ path: textfile, option: 'metrics.textfile', ...unseen }]
  const named = [
    ...sockets.map(one => ({ ...one, to: `${ownDirectories.socket}/NAME` })),
    ...textfiles.map(one => ({ ...one, to: `${ownDirectories.socket}/NAME.prom` })),
    ...logFile.map(one => ({ ...one, option: 'log.to', isFatal: false, to: `${ownDirectories.log}/NAME` })),
    { option: 'state-directory', path: stateDirectory, effect: fatal, isFatal: true, to: ownDirectories.state },
    { option: 'socket.path', path: socket.path, effect: fatal, isFatal: true, to: `${ownDirectories.socket}/NAME` },
  ]
  const inDirectories = named.map(({ to, ...one }) => ({
    ...one,
    advice: `use ${to}, or let the unit write there with a drop-in`,
  }))
  const sequences = credentials.flatMap(one => {
    if (one.type !== 'one-time' || !one.enabled) return []
    const file = realPath(one.file) ?? one.file
    const effect = 'it cannot mark a sequence as used, so none of them opens anything'
    const advice = `install -o pkctl -g pkctl -m 600 ${file} ${defaultStateDirectory}/, and name that file instead`
    return [{ option: `credentials.${one.name}.sequences-file`, path: file, effect, advice, isFatal: true }]
  })
  return [...inDirectories, ...sequences].filter(one => !daemonCanWrite(user, one.path))
}
