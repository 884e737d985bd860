/** A new user as flags and arguments give it: a name, and a public key in a file, as text, or on stdin. */
import * as fs from 'node:fs'
import { publicKeyIn } from '../../users/index.js'
import { expandHome, oneLine, quote, reasonOf, usageError, UserError } from '../../util/index.js'

export const keyFlag = ['--key <file>', 'file with the public key, or the key itself, or - for stdin'] as const

/** Throws a UserError. */
export function parseKeyFlag(given: string): ReturnType<typeof publicKeyIn> {
  const isText = /^(?:ssh|ecdsa|sk)-\S+\s+\S/.test(given)
  const where = given === '-' ? 'what stdin has' : isText ? 'the text of --key' : oneLine(given)
  return publicKeyIn(isText ? given : readSmall(given), where)
}

const maxBytes = 65_536

function readSmall(file: string): string {
  try {
    const handle = file === '-' ? 0 : fs.openSync(expandHome(file), 'r')
    try {
      const buffer = Buffer.alloc(maxBytes)
      let length = 0
      for (let count = -1; count !== 0 && length < maxBytes; length += count)
        count = fs.readSync(handle, buffer, length, maxBytes - length, null)
      return buffer.toString('utf8', 0, length)
    } finally {
      if (handle !== 0) fs.closeSync(handle)
    }
  } catch (error) {
    throw new UserError(`${file === '-' ? 'stdin' : oneLine(file)} cannot be read: ${reasonOf(error)}`)
  }
}

/** Of an empty list of revoked keys. */
export const madeText = (list: string): string =>
  `${oneLine(list)} is new, and empty: no key counts while a list of revoked keys is missing`

/** What is at the end of a line that ssh and shells read, too. Throws a usage error. */
export function checkUserName(name: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,63}$/.test(name)) return
  throw usageError(`${quote(name)} cannot be the name of a user`, 'use letters, digits and . _ @ + -, at most 64')
}
