/** What every command that changes the ruleset has in common: its flags, and how it says what it did. */
import type { Command } from 'commander'
import type { ChangeRecord } from '../../daemon/change-record.js'
import type { FirewallResult } from '../../nft/index.js'
import type { Terminal } from '../../util/index.js'
import { ask, defaultSocket } from '../../util/index.js'
import { jsonText } from '../output/json-output.js'
import { logChange } from './log-change.js'

export interface ChangeFlags {
  readonly json?: boolean
  readonly dryRun?: boolean
  readonly socket: string
}

export function withChangeFlags(command: Command): Command {
  return withOutputFlags(command).option('--socket <path>', 'socket of the daemon to notify, if it runs', defaultSocket)
}

/** For a command that reads a configuration, which names the socket. */
export function withConfiguredChangeFlags(command: Command): Command {
  return withOutputFlags(command).option(
    '--socket <path>',
    'socket of the daemon to notify, if it runs (default: from the file)',
  )
}

const withOutputFlags = (command: Command): Command =>
  command
    .option('--dry-run', 'print the nft transaction and change nothing')
    .option('--json', 'print {"changed": …} and the result as one JSON object')

/** Prints the outcome, the transaction of a dry run, JSON, or a sentence, and leaves a line in the log about a change. */
export async function report(
  terminal: Terminal,
  flags: ChangeFlags,
  what: object,
  change: FirewallResult,
  sentence: string,
  /** Undefined where the caller leaves lines of its own. */
  record: ChangeRecord | undefined,
): Promise<void> {
  if (flags.json) {
    const transaction = flags.dryRun ? { 'dry-run': true, transaction: { nftables: change.commands } } : {}
    terminal.out(jsonText({ changed: change.changed, details: change.details, ...what, ...transaction }))
  } else if (flags.dryRun && change.changed) {
    const lines = change.commands.map(command => JSON.stringify(command))
    terminal.out(`{"nftables": [\n${lines.join(',\n')}\n]}`)
  } else terminal.out(change.changed ? sentence : `nothing to do: ${sentence}`)
  if (record && change.changed && !flags.dryRun) await logChange(flags.socket, sentence, record)
}

/** Lets a running daemon know that services may have come or gone. Without one there is nothing to tell. */
export async function tellDaemon(terminal: Terminal, flags: Pick<ChangeFlags, 'dryRun' | 'socket'>): Promise<void> {
  if (flags.dryRun) return
  try {
    const answer = await ask(flags.socket, { request: 'refresh' })
    if (!answer.ok) terminal.warn(`pkctld could not apply the change: ${answer.problems[0]?.message ?? 'unknown'}`)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED')
      terminal.warn(`pkctld could not be notified of the change: ${message}`)
  }
}
