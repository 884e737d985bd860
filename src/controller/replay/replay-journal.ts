/**
 * Knocks that were honoured, on disk, before they are honoured: a restart or a `kill -9` forgets none of them.
 *
 * There are two files of records (replay-record.ts), `replays` and `replays.old`: when the first has grown and all that is
 * in the second has expired anyway, they change places.
 *
 * What the disk does not take is written with the next knock, or by `keep`. A file that another program removes or
 * replaces is written again from memory.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import {
  appendOwned,
  giveToOwner,
  isStillThere,
  makeOwnedDirectory,
  readOwned,
  removeFile,
  renameFile,
  writeTemporary,
} from '../../util/index.js'
import type { ReplayCache } from './replay-cache.js'
import type { JournalLimits, Remembered, ReplayUsage } from './caches-by-credential.js'
import { credentialId, ReplayCaches } from './caches-by-credential.js'
import { finishRecord, isRecord, recordLength } from './replay-record.js'

const rotateAtBytes = 1 << 20
/** Knocks that stay acceptable for longer than this are worth waiting for the disk itself. */
const syncAboveSeconds = 60
/** So many records wait for a disk that takes none. */
const maxWaiting = 32_768

export class ReplayJournal {
  readonly #caches: ReplayCaches
  readonly #directory: string
  #descriptor = -1
  #length = 0
  /** What was carried over when the file was begun. */
  #lengthAtStart = 0
  #startedAt = 0
  #batch = Buffer.alloc(64 * recordLength)
  #filled = 0
  /** Those of the batch that the disk has not taken. */
  #waiting = 0
  #isLost = false
  #mustSync = false
  /** Records that could not be read back at the start: another program, or the disk, damaged the file. */
  damaged = 0
  readonly #report: (message: string) => void

  private constructor(directory: string, limits: JournalLimits, report: (message: string) => void) {
    this.#directory = directory
    this.#caches = new ReplayCaches(limits)
    this.#report = report
  }

  /**
   * Reads what earlier runs remembered, and opens the file for more. Throws the system's error if it cannot. `report` gets
   * what happens to the file later.
   */
  static open(
    directory: string,
    limits: JournalLimits,
    now: number,
    report: (message: string) => void = () => undefined,
  ): ReplayJournal {
    const journal = new ReplayJournal(directory, limits, report)
    makeOwnedDirectory(directory)
    for (const name of ['replays.old', 'replays', 'replays.new']) journal.#read(journal.#path(name), now)
    if (journal.damaged > 0) journal.#caches.noteDamage(now)
    journal.#continueFile(now)
    return journal
  }

  /** The cache of a credential: what was read for it, or kept from before a reload, or a new one. */
  cacheFor(credential: Remembered): ReplayCache {
    return this.#caches.of(credential)
  }

  get usage(): ReplayUsage {
    return this.#caches.usage()
  }

  /** Notes a knock; it is on disk after the next `commit`. */
  append(credential: Remembered, digest: Buffer, at: number, time: number): void {
    if ((this.#filled + 1) * recordLength > this.#batch.length) {
      this.#batch = Buffer.concat([this.#batch], this.#batch.length * 2)
    }
    const record = this.#filled * recordLength
    digest.copy(this.#batch, record, at, at + 16)
    finishRecord(this.#batch, record, time, credentialId(credential))
    this.#filled++
    this.#mustSync ||= credential.skew < 0 || credential.skew > syncAboveSeconds
  }

  /**
   * Writes what was noted, if that is anything new. Throws the system's error when the disk does not take it: then nothing
   * may be granted. It stays noted.
   */
  commit(now: number): void {
    if (this.#filled === this.#waiting) return
    try {
      this.#keepFile(now)
      this.#write(now)
    } catch (error) {
      this.#filled = this.#waiting = Math.min(this.#filled, maxWaiting)
      throw error
    }
  }

  /** Writes what the disk did not take before, and the file itself when it was removed. To be called at intervals. */
  keep(now: number): void {
    try {
      this.#keepFile(now)
      if (this.#filled > 0) this.#write(now)
    } catch {
      // The next knock says so.
    }
  }

  #write(now: number): void {
    const length = this.#filled * recordLength
    if (this.#length - this.#lengthAtStart > rotateAtBytes && now - this.#startedAt > 2 * this.#caches.longestSkew())
      this.#tryToRotate(now)
    let written = 0
    try {
      while (written < length) written += fs.writeSync(this.#descriptor, this.#batch, written, length - written)
      if (this.#mustSync) fs.fdatasyncSync(this.#descriptor)
    } catch (error) {
      // Half a record at the end would shift all that follow.
      fs.ftruncateSync(this.#descriptor, this.#length)
      throw error
    }
    this.#mustSync = false
    this.#length += length
    this.#filled = this.#waiting = 0
  }

  close(): void {
    if (this.#descriptor >= 0) fs.closeSync(this.#descriptor)
    this.#descriptor = -1
  }

  #path(name: string): string {
    return path.join(this.#directory, name)
  }

  #read(file: string, now: number): void {
    let bytes: Buffer
    try {
      bytes = readOwned(file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw error
    }
    // What is left over at the end is a record that a crash cut off: its knock was not granted.
    for (let at = 0; at + recordLength <= bytes.length; at += recordLength) {
      if (isRecord(bytes, at)) this.#caches.recall(bytes, at, now)
      else this.damaged++
    }
  }

  // No room for a new file is no reason to stop: the old one goes on, and the next commit tries again.
  #tryToRotate(now: number): void {
    try {
      this.#rotate(now)
    } catch {
      removeFile(this.#path('replays.new'))
    }
  }

  #rotate(now: number): void {
    this.#beginFile(this.#caches.lastingRecords(now), now, () => {
      if (fs.existsSync(this.#path('replays'))) renameFile(this.#path('replays'), 'replays.old')
    })
  }

  /** Goes on with a new file. */
  #beginFile(records: readonly Buffer[], now: number, makeRoom: () => void = () => undefined): void {
    const content = Buffer.concat(records)
    // Whole and on disk before anything changes places: when there is no room for it, the old file goes on.
    const next = writeTemporary(this.#path('replays'), content, {
      sync: true,
      prepare: giveToOwner,
    })
    try {
      makeRoom()
      next.replace()
    } catch (error) {
      fs.closeSync(next.descriptor)
      throw error
    }
    fs.closeSync(this.#descriptor)
    this.#descriptor = next.descriptor
    this.#length = this.#lengthAtStart = content.length
    this.#startedAt = now
  }

  #continueFile(now: number): void {
    this.#descriptor = appendOwned(this.#path('replays'), 0o600)
    const { size } = fs.fstatSync(this.#descriptor)
    this.#length = size - (size % recordLength)
    if (size !== this.#length) fs.ftruncateSync(this.#descriptor, this.#length)
    this.#startedAt = now
  }

  /** Writes the file again when another program has removed or replaced it; what that program wrote counts as well. */
  #keepFile(now: number): void {
    const file = this.#path('replays')
    if (isStillThere(file, this.#descriptor)) {
      this.#isLost = false
      return
    }
    const message = `another program has removed or replaced the replay journal ${file}`
    const first = !this.#isLost
    this.#isLost = true
    try {
      this.#readReplacement(now)
      this.#beginFile(this.#caches.allRecords(), now)
    } catch (error) {
      if (first) this.#report(`${message}, and it cannot be written again: ${(error as Error).message}`)
      throw error
    }
    this.#isLost = false
    this.#report(`${message}; it is written again, with all knocks that pkctld knows`)
  }

  #readReplacement(now: number): void {
    const before = this.damaged
    try {
      this.#read(this.#path('replays'), now)
    } catch {
      // Not a file of another daemon.
    }
    if (this.damaged > before) this.#caches.noteDamage(now)
  }
}
