/** Lists of revoked keys in text: one public key in each line. */
import { isKrl } from '../knock/openssh/index.js'
import { readBytes, readKeyFile, writeKeyFile } from './key-file.js'
import type { UserLine } from './key-lines.js'
import { keyText } from './key-lines.js'

/** Whether keys can be appended to it as lines; a list of OpenSSH's own format is made by ssh-keygen -k. */
export function isTextList(file: string): boolean {
  const bytes = readBytes(file)
  return bytes === undefined || !isKrl(bytes)
}

/** Whether the list was changed, because it had not all of them. Throws a UserError. */
export function listKeys(file: string, lines: readonly UserLine[]): boolean {
  const text = readKeyFile(file)
  const missing = lines.filter(({ key }) => !text.includes(key.blob.toString('base64')))
  if (missing.length === 0) return false
  const start = text === '' || text.endsWith('\n') ? text : `${text}\n`
  writeKeyFile(file, text, `${start}${missing.map(({ key, comment }) => `${keyText(key, comment)}\n`).join('')}`)
  return true
}
