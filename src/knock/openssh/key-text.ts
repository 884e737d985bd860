/** Keys in text, as in `.pub` files, authorized_keys and lists of revoked keys: the type, a blank, the blob in base64. */
import { quote } from '../../util/index.js'
import { SshFormatError } from './ssh-format-error.js'
import { SshReader } from './wire.js'

export interface KeyText {
  /** The type of the key or certificate, as the blob has it. */
  readonly type: string
  readonly blob: Buffer
  /** What follows, without blanks around it. */
  readonly comment: string
}

/** The key at the beginning of the text; undefined if no key begins there. Throws a SshFormatError for a broken one. */
export function readKeyText(text: string): KeyText | undefined {
  const [, type, base64, comment = ''] =
    /^([a-z][a-z0-9.@-]*)[ \t]+([A-Za-z0-9+/]{8,}={0,2})(?:[ \t\r]+(.*))?$/s.exec(text) ?? []
  if (type === undefined || base64 === undefined) return undefined
  const blob = Buffer.from(base64, 'base64')
  if (blob.toString('base64') !== base64) throw new SshFormatError('the key is not spelled as base64 should be')
  const named = new SshReader(blob, 'the key').text()
  if (named !== type)
    throw new SshFormatError(`the key says it is of type ${quote(named)}, and its line ${quote(type)}`)
  return { type, blob, comment: comment.trim() }
}
