/**
 * Short fingerprints of the secrets that a captured knock opens other servers with, as `pkctl check` prints them: what is
 * equal on two servers is the same secret.
 *
 * They must not help to guess a secret, because they go to logs and tickets where no knock goes. To be comparable, they have no
 * salt, so that one table of phrases would serve for all servers, however slow the hash is. So only bytes that are no text have
 * one, as `pkctl keygen` makes them, and none that `pkctl doctor` calls weak.
 */
import { createHash } from 'node:crypto'
import { enoughBytes, isPlain, withoutZeroBytes } from '../../config/index.js'
import type { Credential } from '../../config/types.js'
import { decodeText } from '../../util/index.js'

/** A line for each credential that has such a secret. */
export const keyFingerprints = (credentials: readonly Credential[]): string[] =>
  credentials.flatMap(credential => {
    const keys = keysOf(credential)
    return keys ? [`${credential.name}: ${fingerprint(keys)}`] : []
  })

/** What a knock is made of, where the same on another server makes the same knock. The secrets of `rotating` are text. */
function keysOf(credential: Credential): readonly Buffer[] | undefined {
  switch (credential.type) {
    case 'pkd':
    case 'symmetric':
      return [withoutZeroBytes(credential.key)]
    case 'fwknop':
      return [credential.key, credential.hmacKey]
    default:
      return undefined
  }
}

const label = 'pkctl fingerprint 1'
/** As long as an IPv4 address: two keys of one administrator do not have the same one by chance. */
const shownBytes = 4

/** One key that cannot be guessed protects the other. */
function fingerprint(keys: readonly Buffer[]): string {
  const strong = keys.filter(key => key.length >= enoughBytes && !isPlain(key))
  if (strong.length === 0) return 'the key is weak, and has no fingerprint'
  if (strong.every(key => decodeText(key) !== undefined)) return 'the key is text, and has no fingerprint'
  const whole = JSON.stringify(keys.map(key => key.toString('hex')))
  const hash = createHash('sha256').update(label).update(whole).digest()
  return `key fingerprint ${hash.toString('hex', 0, shownBytes)}`
}
