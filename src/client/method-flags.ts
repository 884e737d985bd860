/** Flags that belong to some methods of knocking alone. */
import { randomInt } from 'node:crypto'
import { parsePort } from '../net/index.js'
import { usageError } from '../util/index.js'
import type { KnockFlags } from './knock-flags.js'

/** Random ports stay clear of those where services listen. */
const firstRandomPort = 1024

/** Only pkctl's own knocks ask for something. */
export function checkNotSigned({ sshKey, service, window, prefix, also }: KnockFlags, what: string): void {
  if ((sshKey ?? service ?? window ?? prefix ?? also) !== undefined)
    throw usageError(
      `${what} has no --ssh-key, --service, --window, --prefix or --also`,
      'they are for knocks that an SSH key signs: with --identity, or an identity in the host entry, and no other key',
    )
}

export function checkPacketFlags(flags: KnockFlags, what: string): void {
  if ((flags.delay ?? flags.answerTime) !== undefined) {
    throw usageError(`${what} is one packet, and has no --delay or --answer-time`, 'they are for sequences')
  }
  if (flags.keyFile !== undefined && flags.keyEnv !== undefined)
    throw usageError('--key-file and --key-env exclude each other')
}

/** Gives the port of each knock. */
export function portChooser(entry: { readonly port?: number | undefined }, flags: KnockFlags): () => number {
  const given = flags.port === undefined ? entry.port : parsePort(flags.port)
  return () => given ?? randomInt(firstRandomPort, 65_536)
}
