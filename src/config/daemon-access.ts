/** What the user of the daemon can read and write, with the systemd unit that the packages install. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { defaultStateDirectory, logDirectory, runDirectory } from '../util/index.js'
import type { DaemonUser } from './daemon-user.js'
import { daemonUser } from './daemon-user.js'
import type { Config } from './types.js'

/** The unit makes them, and lets the daemon write nowhere else unless a drop-in has more. */
const ownDirectories = { state: defaultStateDirectory, log: logDirectory, socket: runDirectory } as const

/** The first directory above the file that the user cannot pass; or the file, if the user has none of the right to it. */
export function hiddenFrom(user: DaemonUser, file: string, right: number): string | undefined {
  const directories = file.split('/').map((_, i, parts) => parts.slice(0, i).join('/') || '/')
  const components = [...new Set(directories)].map(component => ({ component, bit: 0o1 }))
  return [...components, { component: file, bit: right }].find(({ component, bit }) => {
    const { mode, uid, gid } = fs.statSync(component)
    const shift = uid === user.uid ? 6 : gid === user.gid ? 3 : 0
    return ((mode >> shift) & bit) !== bit
  })?.component
}

/** Whether the service can write the file, or make it where it is not there yet. */
export function daemonCanWrite(user: DaemonUser, file: string): boolean {
  const place = [file, path.dirname(file)].find(one => fs.existsSync(one))
  const isOwn = Object.values(ownDirectories).some(directory => `${file}/`.startsWith(`${directory}/`))
  if (!isOwn || place === undefined) return isOwn
  const real = fs.realpathSync(place)
  return hiddenFrom(user, real, fs.statSync(real).isDirectory() ? 0o3 : 0o2) === undefined
}

export interface UnwritablePath {
  readonly option: string
  readonly path: string
  /** What comes of it. */
  readonly effect: string
  readonly advice: string
  readonly isFatal: boolean
}

/** Paths of the configuration that the service cannot write; none where there is no service user. */
export function unwritablePaths({ log, stateDirectory, socket, metrics }: Config): UnwritablePath[] {
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
  return named
    .filter(one => !daemonCanWrite(user, one.path))
    .map(({ to, ...one }) => ({ ...one, advice: `use ${to}, or let the unit write there with a drop-in` }))
}
