import { TimeLimitError } from '../util/index.js'

/**
 * What went wrong with nft, as far as a caller can act on it.
 *
 * - `missing-tool`: there is no `nft` program to run.
 * - `permission`: the kernel refused for want of CAP_NET_ADMIN.
 * - `not-found`: a table, chain, set, rule or kernel feature that was named does not exist.
 * - `exists`: something of that name is there already.
 * - `busy`: something still refers to the object that was to be deleted.
 * - `full`: a set has reached its size (the kernel says ENFILE, "too many open files in system").
 * - `unsupported`: the kernel has no nf_tables, or lacks the feature.
 * - `no-answer`: nft did not end in time and was killed, or was killed because its result was not wanted any more.
 * - `other`: see the message.
 */
export type NftErrorKind =
  'missing-tool' | 'permission' | 'not-found' | 'exists' | 'busy' | 'full' | 'unsupported' | 'no-answer' | 'other'

/** What the kernel's word for a kind of error does not tell a person. */
const explanations: Partial<Record<NftErrorKind, string>> = {
  full: 'a set of the table is full, and takes no further element',
}

/** nft failed. `message` is one line for a person; `stderr` is what nft said, whole. */
export class NftError extends Error {
  override readonly name = 'NftError'

  constructor(
    readonly kind: NftErrorKind,
    readonly operation: string,
    readonly stderr: string,
    options?: { cause?: unknown },
  ) {
    super(`${operation}: ${explanations[kind] ?? firstComplaint(stderr)}`, options)
  }
}

/** Why a program gave no result: it did not end in time, was killed, or cannot be started. */
export function noResultError(operation: string, tool: string, cause: unknown): NftError {
  if (cause instanceof TimeLimitError) {
    return new NftError('no-answer', cause.program, `it did not end within ${cause.seconds} s and was killed`, {
      cause,
    })
  }
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return new NftError('missing-tool', operation, `there is no ${tool} program`, { cause })
  return new NftError(code === undefined ? 'no-answer' : 'other', operation, (cause as Error).message, { cause })
}

const phrases: readonly [RegExp, NftErrorKind][] = [
  [/Operation not permitted|Permission denied/, 'permission'],
  [/Too many open files in system/, 'full'],
  [/Device or resource busy/, 'busy'],
  [/File exists/, 'exists'],
  [/No such file or directory|does not exist/, 'not-found'],
  [/Operation not supported|Protocol not supported|Unable to initialize Netlink socket/, 'unsupported'],
]

/** Turns what nft printed into a typed error. Only its own complaint counts, not the input that it quotes below. */
export function nftErrorFrom(operation: string, stderr: string): NftError {
  const complaint = firstComplaint(stderr)
  const kind = phrases.find(([phrase]) => phrase.test(complaint))?.[1] ?? 'other'
  return new NftError(kind, operation, stderr)
}

function firstComplaint(stderr: string): string {
  const lines = stderr.split('\n').filter(line => line.trim() !== '')
  const complaint = lines.find(line => /\bError:|^nft:|Netlink/i.test(line)) ?? lines[0] ?? 'failed without a message'
  return complaint.replace(/^.*?Error: /, '').trim()
}

/** A change that cannot be made as asked; nothing was touched. */
export class FirewallError extends Error {
  override readonly name = 'FirewallError'

  constructor(
    readonly kind: 'link-local' | 'no-service' | 'port-taken' | 'prefix' | 'replaced',
    message: string,
    readonly hint?: string,
  ) {
    super(message)
  }
}
