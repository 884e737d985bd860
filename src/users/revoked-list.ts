/** Lists of revoked keys in text: one public key in each line. */
import { isKrl } from '../knock/openssh/index.js'
import { UserError } from '../util/index.js'
import { maxKeyFileBytes, readBytes, readUserKeys, writeKeyFile } from './edit-key-file.js'
import type { UserLine } from './key-lines.js'
import { keyText } from './key-lines.js'

/** Whether keys can be appended to it as lines; a list of OpenSSH's own format is made by ssh-keygen -k. */
export function isTextList(file: string): boolean {
  const bytes = readBytes(file)
  return bytes === undefined || !isKrl(bytes)
}

export class ListTooLargeError extends UserError {}

/**
 * Whether the list was changed, because it had not all of them. Throws a UserError; a ListTooLargeError where pkctld would
 * read the list no longer, and then accept no key at all.
 */
export function listKeys(file: string, lines: readonly UserLine[]): boolean {
  const text = readUserKeys(file)
  // What is commented out is not listed.
  const words = new Set(text.split('\n').flatMap(line => (/^\s*#/.test(line) ? [] : line.split(/\s+/))))
  const missing = lines.filter(({ key }) => !words.has(key.blob.toString('base64')))
  if (missing.length === 0) return false
  const start = text === '' || text.endsWith('\n') ? text : `${text}\n`
  const longer = `${start}${missing.map(({ key, comment }) => `${keyText(key, comment)}\n`).join('')}`
  if (Buffer.byteLength(longer) > maxKeyFileBytes)
    throw new ListTooLargeError(`the list of revoked keys ${file} would be larger than 16 MiB, which pkctld refuses`)
  writeKeyFile(file, text, longer)
  return true
}
