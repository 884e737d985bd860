/** Where the daemon of a configuration is found: what the file says, also when the rest of it is broken. */
import { defaultSocket } from '../util/index.js'
import { isMapping } from './config-path.js'
import type { Merged } from './merge-sources.js'
import { readMerged } from './read-merged.js'

/** The socket of the daemon that has this configuration. Never throws: of a file that is not YAML, the default. */
export function configuredSocket(file: string): string {
  try {
    return socketIn(readMerged(file))
  } catch {
    return defaultSocket
  }
}

export function socketIn({ value }: Pick<Merged, 'value'>): string {
  const { socket } = value
  return isMapping(socket) && isAbsolute(socket['path']) ? socket['path'] : defaultSocket
}

/** Undefined where the file names none. */
export function stateDirectoryIn({ value }: Pick<Merged, 'value'>): string | undefined {
  const directory = value['state-directory']
  return isAbsolute(directory) ? directory : undefined
}

const isAbsolute = (value: unknown): value is string => typeof value === 'string' && value.startsWith('/')
