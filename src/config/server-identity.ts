/** The server's key pair, in the state directory; `pkctl keygen --server` makes it. */
import * as path from 'node:path'
import type { ServerKey } from '../knock/index.js'
import { readServerKey, serverKeyFile } from '../knock/index.js'
import { defaultStateDirectory, oneLine, reasonOf } from '../util/index.js'
import type { ConfigPath } from './config-path.js'
import { formatPath } from './config-path.js'
import type { Context } from './context.js'

/** The server's identity; undefined after a problem. */
export const serverIdentity = (at: ConfigPath, context: Context): Buffer | undefined => serverKey(at, context)?.identity

/** The same, with the private key. */
export function serverKey(at: ConfigPath, context: Context): ServerKey | undefined {
  const { merged, findings } = context
  const file = serverKeyPath(context)
  const problem = (message: string, hint: string): void => {
    findings.problem(merged.positionOf(at), `${formatPath(at)}${message}`, hint)
  }
  try {
    const key = readKey(context)
    if (key) return key
    problem(`${oneLine(file)} has no key of a server`, 'restore it from a backup')
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    if (isMissing) problem('this server has no identity', "make it with 'pkctl keygen --server'")
    else problem(`${oneLine(file)} cannot be read: ${reasonOf(cause)}`, 'run the command as root')
  }
  return undefined
}

/** The private key for an identity that the configuration names; null where it is not here. */
export function privateKeyOf(identity: Buffer, context: Context): Buffer | null {
  try {
    const key = readKey(context)
    return key?.identity.equals(identity) ? key.privateKey : null
  } catch {
    return null
  }
}

function serverKeyPath({ merged }: Context): string {
  const directory = merged.value['state-directory']
  return path.join(typeof directory === 'string' ? directory : defaultStateDirectory, serverKeyFile)
}

const readKey = (context: Context) => readServerKey(context.reader.readOwned(serverKeyPath(context)).toString('latin1'))
