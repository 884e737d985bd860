/**
 * What has happened, on disk, for `pkctl log`: a JSON object on each line, in the state directory. What anyone can cause
 * without a key is in a file of its own, so that it never pushes out what users and administrators did.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { Log, LogFields, LogLevel, Refusal } from '../controller/index.js'
import { refusedUsedUp } from '../controller/index.js'
import { appendOwned, isStillThere, makeOwnedDirectory, renameFile } from '../util/index.js'
import type { HistoryEntry } from './history-lines.js'
import { historyFiles } from './history-lines.js'
import { LineWriter } from './line-writer.js'

/** Half of the space is for the file in use, and half for the one before it. */
class BoundedFile {
  #lines: LineWriter | undefined
  #size = 0

  constructor(
    readonly file: string,
    readonly bytes: number,
  ) {}

  /** Throws the system's error; the line is lost then. */
  append(line: string): void {
    const size = Buffer.byteLength(line)
    let lines = this.#lines
    if (!lines || !isStillThere(this.file, lines.descriptor)) lines = this.#open()
    if (this.#size + size > this.bytes / 2 && this.#size > 0) {
      renameFile(this.file, `${path.basename(this.file)}.old`)
      lines = this.#open()
    }
    this.#size += size
    lines.write(line)
  }

  close(): void {
    if (this.#lines) fs.closeSync(this.#lines.descriptor)
    this.#lines = undefined
  }

  #open(): LineWriter {
    this.close()
    makeOwnedDirectory(path.dirname(this.file))
    const descriptor = appendOwned(this.file, 0o600)
    this.#size = fs.fstatSync(descriptor).size
    // The daemon, or the machine, may have ended in the middle of a line.
    this.#lines = new LineWriter(descriptor, this.#size > 0)
    return this.#lines
  }
}

export class History {
  readonly #known: BoundedFile
  readonly #unverified: BoundedFile
  readonly #onTrouble: (message: string) => void
  #isFailing = false

  /** `bytes` is what each of the two kinds may take. `onTrouble` gets why lines are lost, once until one is written again. */
  constructor(directory: string, bytes: number, onTrouble: (message: string) => void) {
    const { known, unverified } = historyFiles(directory)
    this.#known = new BoundedFile(known, bytes)
    this.#unverified = new BoundedFile(unverified, bytes)
    this.#onTrouble = onTrouble
  }

  /** Never throws: nothing depends on the history. */
  add(level: LogLevel, message: string, fields: LogFields = {}): void {
    const entry: HistoryEntry = { time: new Date().toISOString(), level, message, ...fields }
    try {
      const file = needsNoKey(level, fields) ? this.#unverified : this.#known
      file.append(`${JSON.stringify(entry)}\n`)
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) this.#onTrouble(`the history cannot be written: ${(error as Error).message}`)
      this.#isFailing = true
    }
  }

  close(): void {
    this.#known.close()
    this.#unverified.close()
  }
}

/** Whether senders without a key can cause it without end, also by copies of valid knocks. */
const needsNoKey = (level: LogLevel, { event, reason, suppressed }: LogFields): boolean =>
  level === 'debug' || suppressed !== undefined || (event === 'knock-refused' && !refusedUsedUp.has(reason as Refusal))

/** The log, of which each message is added to the history as well, whatever the level of the log. */
export function withHistory<T extends Log>(log: T, history: History): T {
  const both = (level: LogLevel) => (message: string, fields?: LogFields) => {
    history.add(level, message, fields)
    log[level](message, fields)
  }
  return { ...log, error: both('error'), warn: both('warn'), info: both('info'), debug: both('debug') }
}
