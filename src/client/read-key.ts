/** The key that a knock is made with: of a file, the environment, the host entry, or the caller. */
import * as fs from 'node:fs'
import { expandHome, usageError, UserError } from '../util/index.js'
import type { PkdHostEntry, SymmetricHostEntry } from './host-entry.js'
import type { KnockFlags } from './knock-flags.js'
import type { Caller } from './knock-method.js'

export async function findKey<K>(
  flags: KnockFlags,
  entry: PkdHostEntry | SymmetricHostEntry,
  caller: Caller,
  parse: (text: string) => K,
): Promise<K> {
  const file = flags.keyFile ?? (flags.keyEnv === undefined ? entry['key-file'] : undefined)
  if (file !== undefined) return parse(readFirstLine(file, 'key'))
  if (flags.keyEnv !== undefined) {
    const value = process.env[flags.keyEnv]
    // In place of the name, the key itself may have been given.
    const name = /^[A-Z_][A-Z0-9_]{0,40}$/.test(flags.keyEnv) ? ` ${flags.keyEnv}` : ' of the name that --key-env gives'
    if (value === undefined) throw usageError(`the environment has no variable${name}`)
    return parse(value)
  }
  return parse(entry.key ?? (await caller.secret()))
}

export function readSequenceSecret(file: string): string {
  const secret = readFirstLine(file, 'secret')
  if (secret === '') throw new UserError(`the secret file ${file} has an empty first line, where the secret should be`)
  return secret
}

function readFirstLine(file: string, what: string): string {
  try {
    return fs.readFileSync(expandHome(file), 'utf8').split('\n')[0]?.replace(/\r$/, '') ?? ''
  } catch (error) {
    throw new UserError(`the ${what} file ${file} cannot be read: ${(error as Error).message}`)
  }
}
