import type { Execute, RunLimits } from '../util/index.js'
import { count, execute } from '../util/index.js'
import { NftError, nftErrorFrom, noResultError } from './nft-errors.js'
import { withInlineElements } from './inline-elements.js'
import type { Command } from './nft-json.js'
import { family, table } from './nft-json.js'
import type { ListedElement, Listing } from './listing.js'
import { asObject, emptyListing, parseElementText, parseListing } from './listing.js'

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
  /**
   * One element of a set, if it is there. nft 1.0.6 reads every set of the kernel for it: half a second with 100,000 elements.
   * `hasElement` and `readElement` ask first.
   */
  getElement(set: string, value: string): Promise<ListedElement | undefined>
}

/** With all elements, the largest take seconds, on slow machines ten times as long. */
const wholeListingMilliseconds = 30_000

/**
 * nft reopens /dev/stdin, which fails on the socket that Node gives a child; `cat` in between makes it a pipe, and needs no
 * file that a full disk could refuse. To nft, an empty batch and one that is cut off are successes. So the shell ends itself
 * when `cat` does not run or fails, as where a security module forbids it.
 */
const passBatch = `{ trap 'kill -9 $$' 0; cat && trap - 0; } | nft "$@" -f -`

/** As shells say it: `/bin/sh: 1: nft: not found`, or `command not found`. */
const shellFoundNoNft = /\bnft: (?:command )?not found\b/

/**
 * The real thing. A batch is no argument: all users can read arguments, and a batch shows which ports count as knocks.
 */
export function realNft(run: Execute = execute): Nft {
  async function nft(operation: string, args: readonly string[], input?: string, limits?: RunLimits): Promise<string> {
    const [file, argv] = input === undefined ? ['nft', args] : ['/bin/sh', ['-c', passBatch, 'pkctl-nft', ...args]]
    let result
    try {
      result = await run(file, argv, input, { name: operation, ...limits })
    } catch (cause) {
      throw noResultError(operation, 'nft', cause)
    }
    // Without nft, `cat` can fail before the shell ends with the status that says so.
    if (input !== undefined && (result.status === 127 || shellFoundNoNft.test(result.stderr))) {
      throw new NftError('missing-tool', operation, 'there is no nft program')
    }
    if (result.status !== 0) throw nftErrorFrom(operation, result.stderr)
    return result.stdout
  }

  const change = (operation: string, args: readonly string[], commands: readonly Command[]) =>
    nft(operation, args, JSON.stringify({ nftables: withInlineElements(commands) }), {
      name: `${operation}, ${transactionSummary(commands)}`,
    })

  async function listing(args: readonly string[], limits?: RunLimits): Promise<Listing> {
    const operation = `nft ${args.filter(arg => !arg.startsWith('-')).join(' ')}`
    try {
      return parseListing(JSON.parse(await nft(operation, ['-j', ...args], undefined, limits)))
    } catch (error) {
      if (error instanceof NftError && error.kind === 'not-found') return emptyListing()
      throw error
    }
  }

  return {
    async apply(commands) {
      if (commands.length > 0) await change('nft', ['-j'], commands)
    },
    async check(commands) {
      if (commands.length > 0) await change('nft --check', ['-j', '-c'], commands)
    },
    async list({ elements = true, signal } = {}) {
      const all = ['list', 'table', family, table]
      if (elements) return listing(all, { signal, milliseconds: wholeListingMilliseconds })
      // Only this way nft does not read all elements from the kernel, to leave them out afterwards. Tables of others are
      // listed, too: should nft choke on one of them, ours is listed alone.
      return listing(['-t', 'list', 'ruleset', family], { signal }).catch((error: unknown) => {
        if (error instanceof NftError && error.kind === 'no-answer') throw error
        return listing(['-t', ...all], { signal })
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

/** What a transaction does, in a few words. The log has no need of the ports of knocks. */
export function transactionSummary(commands: readonly Command[]): string {
  const kinds = commands.map(command => {
    const [verb = '', object] = Object.entries(command)[0] ?? []
    return `${verb} ${Object.keys(asObject(object))[0] ?? ''}`
  })
  const first = [...new Set(kinds)].slice(0, 4)
  return `${count(commands.length, 'command')} (${first.join(', ')}${first.length < new Set(kinds).size ? ', …' : ''})`
}
