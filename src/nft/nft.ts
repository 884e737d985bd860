import type { Execute } from '../util/index.js'
import { execute, TimeLimitError } from '../util/index.js'
import { NftError, nftErrorFrom } from './errors.js'
import type { Command } from './json.js'
import { family, table } from './json.js'
import type { ListedElement, Listing } from './listing.js'
import { emptyListing, parseElementText, parseListing } from './listing.js'

/** The interface to the kernel's ruleset: everything that pkctl reads or changes there goes through these calls. */
export interface Nft {
  /** Runs the commands as one transaction: all of it or, with an NftError, nothing. */
  apply(commands: readonly Command[]): Promise<void>
  /** Like `apply`, but the kernel only says whether it would take them. */
  check(commands: readonly Command[]): Promise<void>
  /**
   * pkctl's own table; empty when there is none. `elements: false` leaves out what sets and maps contain. When `signal` is
   * aborted, nft is killed.
   */
  list(options?: { elements?: boolean; signal?: AbortSignal }): Promise<Listing>
  /** One set or map with its elements. */
  listSet(kind: 'set' | 'map', name: string): Promise<Listing>
  /** One element of a set, if it is there: quick, however large the set is. */
  getElement(set: string, value: string): Promise<ListedElement | undefined>
}

/**
 * The real thing. A batch is no argument: all users can read arguments, and a batch shows which ports count as knocks. nft
 * reopens /dev/stdin, which fails on the socket that Node gives a child; `cat` in between makes it a pipe, and needs no
 * file that a full disk could refuse.
 */
export function realNft(run: Execute = execute): Nft {
  async function nft(
    operation: string,
    args: readonly string[],
    input?: string,
    signal?: AbortSignal,
  ): Promise<string> {
    const [file, argv] =
      input === undefined ? ['nft', args] : ['/bin/sh', ['-c', 'cat | nft "$@" -f -', 'pkctl-nft', ...args]]
    let result
    try {
      result = await run(file, argv, input, signal)
    } catch (cause) {
      throw notRun(operation, cause)
    }
    if (result.status === 127 && input !== undefined) throw notRun(operation)
    if (result.status !== 0) throw nftErrorFrom(operation, result.stderr)
    return result.stdout
  }

  const batch = (commands: readonly Command[]) => JSON.stringify({ nftables: commands })

  async function listing(args: readonly string[], signal?: AbortSignal): Promise<Listing> {
    try {
      const text = await nft(
        `nft ${args.filter(arg => !arg.startsWith('-')).join(' ')}`,
        ['-j', ...args],
        undefined,
        signal,
      )
      return parseListing(JSON.parse(text))
    } catch (error) {
      if (error instanceof NftError && error.kind === 'not-found') return emptyListing()
      throw error
    }
  }

  return {
    async apply(commands) {
      if (commands.length > 0) await nft('nft', ['-j'], batch(commands))
    },
    async check(commands) {
      if (commands.length > 0) await nft('nft --check', ['-j', '-c'], batch(commands))
    },
    async list({ elements = true, signal } = {}) {
      const all = ['list', 'table', family, table]
      if (elements) return listing(all, signal)
      // Only this way nft does not read all elements from the kernel, to leave them out afterwards. Tables of others are
      // listed, too: should nft choke on one of them, ours is listed alone.
      return listing(['-t', 'list', 'ruleset', family], signal).catch((error: unknown) => {
        if (error instanceof NftError && error.kind === 'no-answer') throw error
        return listing(['-t', ...all], signal)
      })
    },
    listSet: (kind, name) => listing(['list', kind, family, table, name]),
    async getElement(set, value) {
      try {
        // Without -j: nft 1.0.6 answers this in text in any case.
        return parseElementText(await nft('nft get', ['get', 'element', family, table, set, `{ ${value} }`]))
      } catch (error) {
        if (error instanceof NftError && error.kind === 'not-found') return undefined
        throw error
      }
    },
  }
}

function notRun(operation: string, cause?: unknown): NftError {
  const { code } = (cause ?? { code: 'ENOENT' }) as NodeJS.ErrnoException
  if (code === 'ENOENT') return new NftError('missing-tool', operation, 'there is no nft program', { cause })
  // The shell in front of nft is of no interest.
  if (cause instanceof TimeLimitError)
    return new NftError('no-answer', operation, `it did not end within ${cause.seconds} s and was killed`, { cause })
  return new NftError('other', operation, (cause as Error).message, { cause })
}
