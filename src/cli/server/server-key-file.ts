/** The file of the server's key pair: made once, for the owner of the state directory alone, and never overwritten. */
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { newServerKey, readServerKey, serverKeyFile, serverKeyText } from '../../knock/index.js'
import { giveToOwner, makeNew, makeOwnedDirectory, privateMode, readOwned, UserError } from '../../util/index.js'

export const hasServerKey = (directory: string): boolean => fs.existsSync(path.join(directory, serverKeyFile))

/** The identity of the key pair that is there, or else of a new one. */
export function ensureServerIdentity(directory: string): Buffer {
  const file = path.join(directory, serverKeyFile)
  try {
    return existingIdentity(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const key = newServerKey(randomBytes)
  try {
    makeOwnedDirectory(directory)
    makeNew(file, privateMode, (handle, owner) => {
      giveToOwner(handle, owner)
      fs.writeSync(handle, serverKeyText(key))
    })
  } catch (error) {
    // Another process was faster.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return existingIdentity(file)
    throw new UserError(`${file} cannot be written: ${(error as Error).message}`, 'run the command as root')
  }
  return key.identity
}

/** Throws the system's error where there is no file, else a UserError. */
export function existingIdentity(file: string): Buffer {
  let bytes: Buffer
  try {
    bytes = readOwned(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error
    throw new UserError(`${file} cannot be read: ${(error as Error).message}`, 'run the command as root')
  }
  const key = readServerKey(bytes.toString('latin1'))
  if (!key) throw new UserError(`${file} has no key of a server`, 'restore it from a backup, or remove it')
  return key.identity
}
