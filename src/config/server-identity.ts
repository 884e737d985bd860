/** The server's key pair, in the state directory; `pkctl keygen --server` makes it. */
import * as path from 'node:path'
import { readServerKey, serverKeyFile } from '../knock/index.js'
import { defaultStateDirectory, oneLine, reasonOf } from '../util/index.js'
import type { ConfigPath } from './config-path.js'
import { formatPath } from './config-path.js'
import type { Context } from './context.js'

/** The server's identity; undefined after a problem. */
export function serverIdentity(at: ConfigPath, { merged, findings, reader }: Context): Buffer | undefined {
  const directory = merged.value['state-directory']
  const file = path.join(typeof directory === 'string' ? directory : defaultStateDirectory, serverKeyFile)
  const problem = (message: string, hint: string): void => {
    findings.problem(merged.positionOf(at), `${formatPath(at)}${message}`, hint)
  }
  try {
    const key = readServerKey(reader.readFile(file).toString('latin1'))
    if (key) return key.identity
    problem(`${oneLine(file)} has no key of a server`, 'restore it from a backup')
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    if (isMissing) problem('this server has no identity', "make it with 'pkctl keygen --server'")
    else problem(`${oneLine(file)} cannot be read: ${reasonOf(cause)}`, 'run the command as root')
  }
  return undefined
}
