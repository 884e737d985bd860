/** The history that the daemon keeps in its state directory: where it is, and what its lines hold. */
import * as path from 'node:path'
import type { LogFields, LogLevel } from '../controller/index.js'
import { logLevels } from '../config/types.js'
import { readOwned } from '../util/index.js'

/** One message of the log. `time` is in ISO 8601, in UTC; the other fields are those of the message. */
export type HistoryEntry = { readonly time: string; readonly level: LogLevel; readonly message: string } & LogFields

/** `known`: what needs a key, or rights on this machine. Each has a second file, `.old`, of what was before. */
export const historyFiles = (directory: string) => ({
  known: path.join(directory, 'history'),
  unverified: path.join(directory, 'history-unverified'),
})

/** As the daemon writes it. Of times in other spellings, some are too late to be printed in local time. */
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** All entries, in the order of their times; lines that are damaged are left out. Throws the system's error. */
export function readHistory(directory: string): HistoryEntry[] {
  const files = Object.values(historyFiles(directory)).flatMap(file => [`${file}.old`, file])
  return files.flatMap(entriesOf).sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
}

function entriesOf(file: string): HistoryEntry[] {
  let text
  try {
    text = readOwned(file).toString('utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return text.split('\n').flatMap(line => entryOf(line) ?? [])
}

/** The file belongs to the user of the daemon, and may hold anything. */
export function entryOf(line: string): HistoryEntry | undefined {
  try {
    const entry = JSON.parse(line) as Partial<HistoryEntry> | null
    const { time, level, message } = entry ?? {}
    const isTime = typeof time === 'string' && timePattern.test(time) && !Number.isNaN(Date.parse(time))
    const isWhole = isTime && typeof message === 'string'
    return isWhole && logLevels.some(one => one === level) ? (entry as HistoryEntry) : undefined
  } catch {
    return undefined
  }
}
