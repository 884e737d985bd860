/** The history of the daemon for people: its lines as text, and what is new in it. */
import { HistoryFollower } from '../../daemon/history-follower.js'
import type { HistoryEntry } from '../../daemon/history-lines.js'
import { readHistory } from '../../daemon/history-lines.js'
import { loadConfig } from '../../config/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultStateDirectory, oneLine, reasonOf, UserError } from '../../util/index.js'

/** What is in a configuration with a mistake does not count, but the history is wanted all the more. */
export function historyDirectory(file: string, terminal: Terminal): string {
  try {
    return loadConfig(file).config.stateDirectory
  } catch {
    terminal.warn(`${file} cannot be used, so this is the history in ${defaultStateDirectory}`)
    return defaultStateDirectory
  }
}

/** Throws a UserError. */
export function readEntries(directory: string): HistoryEntry[] {
  try {
    return readHistory(directory)
  } catch (error) {
    throw unreadable(directory, error)
  }
}

const unreadable = (directory: string, error: unknown) =>
  new UserError(`the history in ${directory} cannot be read: ${reasonOf(error)}`, 'run this as root')

/** Local time, to the second, and the message. */
export function entryText({ time, level, message }: HistoryEntry, terminal: Pick<Terminal, 'strong'>): string {
  const important = level === 'error' || level === 'warn'
  const text = oneLine(message)
  return `${localTime(new Date(time)).join(' ')}  ${important ? terminal.strong(`${level}: ${text}`) : text}`
}

/** Date and time of day. */
export function localTime(at: Date): [string, string] {
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString()
  return [local.slice(0, 10), local.slice(11, 19)]
}

/** Follows the history from now on. Throws a UserError. */
export function followHistory(directory: string): () => HistoryEntry[] {
  const orExplain = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw unreadable(directory, error)
    }
  }
  const follower = orExplain(() => new HistoryFollower(directory))
  return () => orExplain(() => follower.newEntries())
}
