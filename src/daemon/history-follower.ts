/**
 * What is added to the history from now on. Only that is read, in the order in which it was written: a clock that steps back
 * makes new entries older than earlier ones.
 */
import * as fs from 'node:fs'
import { isStillThere, openOwnedToRead } from '../util/index.js'
import type { HistoryEntry } from './history-lines.js'
import { entryOf, historyFiles } from './history-lines.js'

const chunkBytes = 65_536

/** One file, which gives way to another of its name when it is full. */
class FollowedFile {
  #descriptor: number | undefined
  #at = 0
  /** Of a line whose end is not written yet. */
  #rest: Buffer = Buffer.alloc(0)

  constructor(readonly file: string) {
    this.#open()
    if (this.#descriptor !== undefined) this.#at = fs.fstatSync(this.#descriptor).size
  }

  /** Throws the system's error. */
  newLines(): string[] {
    const lines = this.#read()
    if (this.#descriptor !== undefined && isStillThere(this.file, this.#descriptor)) return lines
    // The last lines of the full file may have come after it was read.
    lines.push(...this.#read())
    this.close()
    this.#open()
    return [...lines, ...this.#read()]
  }

  close(): void {
    if (this.#descriptor !== undefined) fs.closeSync(this.#descriptor)
    this.#descriptor = undefined
    this.#at = 0
    this.#rest = Buffer.alloc(0)
  }

  #open(): void {
    try {
      this.#descriptor = openOwnedToRead(this.file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }

  #read(): string[] {
    if (this.#descriptor === undefined) return []
    const parts = [this.#rest]
    for (;;) {
      const chunk = Buffer.alloc(chunkBytes)
      const length = fs.readSync(this.#descriptor, chunk, 0, chunkBytes, this.#at)
      if (length === 0) break
      this.#at += length
      parts.push(chunk.subarray(0, length))
    }
    const all = Buffer.concat(parts)
    const end = all.lastIndexOf('\n') + 1
    this.#rest = all.subarray(end)
    return end === 0 ? [] : all.toString('utf8', 0, end - 1).split('\n')
  }
}

export class HistoryFollower {
  readonly #files: readonly FollowedFile[]

  /** Throws the system's error where a file cannot be read. */
  constructor(directory: string) {
    this.#files = Object.values(historyFiles(directory)).map(file => new FollowedFile(file))
  }

  /** What was added since the last call. Throws the system's error. */
  newEntries(): HistoryEntry[] {
    return this.#files.flatMap(file => file.newLines().flatMap(line => entryOf(line) ?? []))
  }

  close(): void {
    for (const file of this.#files) file.close()
  }
}
