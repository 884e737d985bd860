import { Command } from 'commander'
import type { HistoryEntry } from '../../daemon/history-lines.js'
import { parsePrefix, prefixContains, splitPrefix } from '../../net/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, usageError } from '../../util/index.js'
import { entryText, followHistory, historyDirectory, readEntries } from '../output/history-text.js'
import { jsonText } from '../output/json-output.js'
import { parseTimeAgo } from '../flags/time-flag.js'

interface LogFlags {
  readonly lines?: string
  readonly follow?: boolean
  readonly since?: string
  readonly credential?: string
  readonly source?: string
  readonly refused?: boolean
  readonly json?: boolean
  readonly config: string
}

type Wanted = (entry: HistoryEntry) => boolean

const logHelp = `
Shows what pkctld has logged, at any level: knocks that were accepted or refused, and why; changes by commands, and who made
them; restored rules; starts and reloads. The daemon keeps it in its state directory, as much as 'log: history' allows.

Example:
  pkctl log --source 192.0.2.7 --since 1h`

const defaultLines = 20
const pollMilliseconds = 500
/** More are not written while the files are read. */
const rememberedLines = 10_000

export function logCommand(terminal: Terminal): Command {
  return new Command('log')
    .description('show the last knocks and changes')
    .option('-n, --lines <n>', `show at most this many (default: ${defaultLines}, or all with --since)`)
    .option('-f, --follow', 'go on, and show what happens from now on')
    .option('--since <time>', 'only entries after this: 30m or 2d (ago), or 2030-01-01T12:00:00Z')
    .option('--credential <name>', 'only knocks of this credential')
    .option('--source <address>', 'only knocks from this address or prefix, or for it')
    .option('--refused', 'only knocks that were refused')
    .option('--json', 'print one JSON object for each')
    .option('--config <file>', 'configuration', defaultConfig)
    .addHelpText('after', logHelp)
    .action(async (flags: LogFlags) => {
      const wanted = readFilter(flags)
      const lines = readLines(flags)
      const directory = historyDirectory(flags.config, terminal)
      const show = (entry: HistoryEntry) => {
        terminal.out(flags.json ? jsonText(entry) : entryText(entry, terminal))
      }
      // Before the rest is read, so that nothing is missed in between.
      const newEntries = flags.follow ? followHistory(directory) : undefined
      const entries = readEntries(directory)
      const chosen = entries.filter(wanted)
      for (const entry of chosen.slice(Math.max(0, chosen.length - lines))) show(entry)
      if (newEntries) await follow(newEntries, entries, entry => wanted(entry) && show(entry))
      else if (entries.length === 0)
        terminal.hint(`${directory} has no history: pkctld writes it, unless 'log: history' is 0`)
    })
}

function readFilter({ since, credential, source, refused }: LogFlags): Wanted {
  const from =
    since === undefined ? '' : new Date(parseTimeAgo('--since', since, Date.now() / 1000) * 1000).toISOString()
  const prefix = source === undefined ? undefined : parsePrefix(source)
  const addressed = (entry: HistoryEntry) =>
    ['source', 'on-behalf-of', 'also', 'address'].some(name => {
      const address = entry[name]
      return typeof address === 'string' && prefix !== undefined && touches(prefix, address)
    })
  return entry =>
    entry.time >= from &&
    (credential === undefined || entry['credential'] === credential) &&
    (prefix === undefined || addressed(entry)) &&
    (!refused || entry['event'] === 'knock-refused')
}

/** Whether the address, or a prefix that was granted as a whole, is in the prefix or contains it. */
function touches(prefix: string, source: string): boolean {
  try {
    return prefixContains(prefix, splitPrefix(source).address) || prefixContains(source, splitPrefix(prefix).address)
  } catch {
    return false
  }
}

function readLines({ lines, since }: LogFlags): number {
  if (lines === undefined) return since === undefined ? defaultLines : Infinity
  if (!/^\d{1,9}$/.test(lines)) throw usageError(`--lines takes a number, not '${lines}'`)
  return Number(lines)
}

/** Until the program is ended. What was written while the files were read is among `shown` as well. */
async function follow(
  newEntries: () => HistoryEntry[],
  shown: readonly HistoryEntry[],
  onEntry: (entry: HistoryEntry) => void,
): Promise<never> {
  const known = new Set(shown.slice(-rememberedLines).map(entry => JSON.stringify(entry)))
  for (;;) {
    for (const entry of newEntries()) if (!known.has(JSON.stringify(entry))) onEntry(entry)
    known.clear()
    await new Promise(resolve => setTimeout(resolve, pollMilliseconds))
  }
}
