/** The file of a server's key pair: one line of text, with the private key alone, from which the identity follows. */
import type { ServerKey } from './signed.js'
import { publicHalf } from './x25519.js'

/** Its name in the state directory. */
export const serverKeyFile = 'server-key'

const start = 'pkctl-server-key-1:'
const keyLength = 32

export const serverKeyText = ({ privateKey }: Pick<ServerKey, 'privateKey'>): string =>
  `${start}${privateKey.toString('base64url')}\n`

/** Undefined where the text is not a key in its one spelling. */
export function readServerKey(text: string): ServerKey | undefined {
  if (!text.startsWith(start)) return undefined
  const privateKey = Buffer.from(text.slice(start.length).trimEnd(), 'base64url')
  if (privateKey.length !== keyLength || serverKeyText({ privateKey }) !== text) return undefined
  return { privateKey, identity: publicHalf(privateKey) }
}
