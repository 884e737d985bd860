/**
 * While the daemon owns the table, the kernel takes changes from it alone. Then a note beside the lock names the daemon's
 * socket, and pkctl's commands, which have the lock, ask there for their transactions.
 */
import * as path from 'node:path'
import { ask, readOwned, removeFile, replaceFile } from '../util/index.js'
import type { NftErrorKind } from './nft-errors.js'
import { NftError } from './nft-errors.js'
import type { Command } from './nft-json.js'
import { rulesetNumber } from './lock.js'
import type { Nft } from './nft.js'

/** What the owner is asked for. */
export interface TransactionRequest {
  readonly request: 'transaction'
  readonly how: 'apply' | 'check'
  /** Whose ruleset is meant: see `rulesetNumber`. */
  readonly ruleset: string
  readonly commands: readonly Command[]
}

/** What the owner answers: `not-owner`, and nothing was done; `failed`, with what nft said; or that it is done. */
export type TransactionResult =
  | { readonly outcome: 'done' | 'not-owner' }
  | { readonly outcome: 'failed'; readonly kind: NftErrorKind; readonly operation: string; readonly stderr: string }

/** Longer than a transaction of the session may take. */
const answerMilliseconds = 60_000
/** An owner may come or go between two attempts. */
const attempts = 4

const noteIn = (directory: string) => path.join(directory, `ruleset-${rulesetNumber()}.owner`)

/** Names the owner's socket to pkctl's other programs, or takes that back. */
export function announceOwner(directory: string, socket: string | undefined): void {
  const note = noteIn(directory)
  if (socket === undefined) removeFile(note)
  else if (announcedIn(directory) !== socket) replaceFile(note, `${socket}\n`, { mode: 0o644 })
}

/** The owner's socket; undefined when there is no note of one. */
function announcedIn(directory: string): string | undefined {
  try {
    return readOwned(noteIn(directory)).toString().trim()
  } catch {
    return undefined
  }
}

/** Has the owner make changes, when there is one. Who may not ask it gets the kernel's refusal. */
export function throughOwner(nft: Nft, directory: string, withinMilliseconds = answerMilliseconds): Nft {
  async function change(how: 'apply' | 'check', commands: readonly Command[]): Promise<void> {
    for (let left = attempts; ; left--) {
      const socket = announcedIn(directory)
      const result = socket === undefined ? undefined : await askOwner(socket, how, commands, withinMilliseconds)
      if (result === 'done') return
      if (result instanceof NftError) throw result
      try {
        await nft[how](commands)
        return
      } catch (error) {
        const isOwned = error instanceof NftError && error.kind === 'permission' && announcedIn(directory) !== undefined
        if (!isOwned || result === 'forbidden' || left <= 1) throw error
      }
    }
  }
  return {
    ...nft,
    apply: async commands => {
      if (commands.length > 0) await change('apply', commands)
    },
    check: async commands => {
      if (commands.length > 0) await change('check', commands)
    },
  }
}

async function askOwner(
  socket: string,
  how: 'apply' | 'check',
  commands: readonly Command[],
  withinMilliseconds: number,
): Promise<'done' | 'not-owner' | 'forbidden' | NftError> {
  const request: TransactionRequest = { request: 'transaction', how, ruleset: rulesetNumber(), commands }
  try {
    const answer = await ask(socket, request, withinMilliseconds)
    // One that ends at this moment refuses every request.
    if (!answer.ok) return 'not-owner'
    const result = answer.result as TransactionResult
    return result.outcome === 'failed' ? new NftError(result.kind, result.operation, result.stderr) : result.outcome
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EACCES') return 'forbidden'
    // Without an answer, nothing is known of the transaction, which must not be made twice.
    return code === undefined || code === 'ETIMEDOUT'
      ? new NftError('no-answer', 'pkctld', message, { cause: error })
      : 'not-owner'
  }
}
