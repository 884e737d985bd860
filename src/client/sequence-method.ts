/** Knocks at ports in an order: those of the command line, of the host entry, or of the hour. */
import type { Step } from '../knock/index.js'
import { formatStep, parseStep, rotatingSteps, startOfHour } from '../knock/index.js'
import { usageError } from '../util/index.js'
import type { HostEntry, RotatingHostEntry } from './host-entry.js'
import type { KnockFlags } from './knock-flags.js'
import type { KnockMethod } from './knock-method.js'
import { checkNotSigned } from './method-flags.js'
import { readSequenceSecret } from './read-key.js'
import { knockSteps, parseMilliseconds } from './send-sequence.js'
import { serverAddresses } from './server-addresses.js'

const defaultDelayMs = 20

export async function sequenceMethod(
  entry: HostEntry,
  flags: KnockFlags,
  current: () => readonly Step[],
): Promise<KnockMethod> {
  if ((flags.tag ?? flags.keyFile ?? flags.keyEnv ?? flags.port ?? flags.onBehalfOf) !== undefined)
    throw usageError('a sequence has no tag, key or port of a knock, and no --on-behalf-of', 'they are for PKD knocks')
  if (flags.identity !== undefined) throw usageError('a sequence has no --identity', "it is for pkctl's own knock")
  checkNotSigned(flags, 'a sequence')
  const pauseMs = flags.delay === undefined ? (entry.delay ?? defaultDelayMs) : parseMilliseconds(flags.delay)
  const answerMs = parseMilliseconds(flags.answerTime ?? '0')
  return {
    host: entry.host,
    addresses: await serverAddresses(entry, flags),
    kind: 'sequence',
    async send(address, signal) {
      const steps = current()
      await knockSteps(address, steps, { pauseMs, answerMs }, signal)
      return `ports ${steps.map(formatStep).join(' ')}`
    },
  }
}

/** Reads the secret now; the sequence is that of the hour in which it is asked for. */
export function rotating(entry: RotatingHostEntry, what: 'open' | 'close'): () => Step[] {
  const secret = entry[`${what}-secret`] ?? readSequenceSecret(entry[`${what}-secret-file`] ?? '')
  const rotation = { ...entry.range, secret, digest: entry.digest }
  return () => rotatingSteps(rotation, startOfHour(Date.now() / 1000, entry.hour))
}

export function readStep(text: string): Step {
  try {
    return parseStep(text)
  } catch (error) {
    throw usageError((error as Error).message)
  }
}
