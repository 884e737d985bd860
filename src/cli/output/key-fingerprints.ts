/**
 * Short fingerprints of the secrets that a captured knock opens other servers with, as `pkctl check` prints them: what is
 * equal on two servers is the same secret.
 *
 * They must not help to guess a secret, because they go to logs and tickets where no knock goes. So one that
 * `pkctl doctor` calls weak has none, and one that a person could have thought of is hashed so slowly that trying words takes too
 * long. For as many bytes as `pkctl keygen` makes, which are no text, one fast hash does: they cannot be tried out.
 */
import { createHash, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { enoughBytes, isPlain, withoutZeroBytes } from '../../config/index.js'
import type { Credential } from '../../config/types.js'
import { decodeText } from '../../util/index.js'

/** A line for each credential that has such a secret. */
export async function keyFingerprints(credentials: readonly Credential[]): Promise<string[]> {
  const lines = credentials.map(async credential => {
    const found = secretsOf(credential)
    if (!found) return []
    const { what, secrets } = found
    const text = await fingerprint(secrets)
    return [
      `${credential.name}: ${text === undefined ? `the ${what} is weak, and has no fingerprint` : `${what} fingerprint ${text}`}`,
    ]
  })
  return (await Promise.all(lines)).flat()
}

/** What a knock is made of, where the same on another server makes the same knock. */
function secretsOf(credential: Credential): { what: 'key' | 'secret'; secrets: readonly Buffer[] } | undefined {
  switch (credential.type) {
    case 'pkd':
    case 'symmetric':
      return { what: 'key', secrets: [withoutZeroBytes(credential.key)] }
    case 'fwknop':
      return { what: 'key', secrets: [credential.key, credential.hmacKey] }
    case 'rotating':
      return { what: 'secret', secrets: [Buffer.from(credential.open.secret)] }
    default:
      return undefined
  }
}

const label = 'pkctl fingerprint 1'
/** As long as an IPv4 address: two keys of one administrator do not have the same one by chance. */
const shownBytes = 4
const randomBytes = 32

const slowly = promisify<Buffer, string, number, Buffer>(scrypt)

/** Undefined where all of them are weak. */
async function fingerprint(secrets: readonly Buffer[]): Promise<string | undefined> {
  if (secrets.every(secret => secret.length < enoughBytes || isPlain(secret))) return undefined
  const whole = Buffer.from(JSON.stringify(secrets.map(secret => secret.toString('hex'))))
  const isRandom = secrets.some(secret => secret.length >= randomBytes && decodeText(secret) === undefined)
  const hash = isRandom
    ? createHash('sha256').update(label).update(whole).digest()
    : await slowly(whole, label, shownBytes)
  return hash.subarray(0, shownBytes).toString('hex')
}
