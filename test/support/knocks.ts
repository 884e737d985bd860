/** PKD knocks for tests. */
import { randomBytes } from 'node:crypto'
import { encodePkd, parsePkdKey, parseTag } from '../../src/knock/pkd.js'

export interface KnockOptions {
  readonly key?: string
  readonly tag?: string
  /** The port that it is hashed for. */
  readonly port?: number
  /** Seconds that the sender's clock is ahead. */
  readonly ahead?: number
  /** Unix seconds. */
  readonly time?: number
}

export const knockPort = 40_000

/** A right knock for the credential `{ type: pkd, tag: SSHK, key: test }`, unless told otherwise, as hex. */
export function knockHex({ key = 'test', tag = 'SSHK', port = knockPort, ahead = 0, time }: KnockOptions = {}): string {
  const stamp = time ?? Math.floor(Date.now() / 1000) + ahead
  return encodePkd({ tag: parseTag(tag), time: stamp, random: randomBytes(12) }, port, parsePkdKey(key)).toString('hex')
}
