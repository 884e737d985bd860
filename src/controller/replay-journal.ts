/**
 * Knocks that were honoured, on disk, before they are honoured: a restart or a `kill -9` forgets none of them.
 *
 * A file is a row of records of 32 bytes: the first 16 of the knock's digest, its time (Unix seconds, 64 bits), four
 * bytes that name the credential, four that check the rest; numbers are little-endian. A digest of zeros says that
 * everything of that credential up to that time is refused. There are two files, `replays` and `replays.old`: when the
 * first has grown and all that is in the second has expired anyway, they change places.
 *
 * What the disk does not take is written with the next knock, or by `keep`. A file that another program removes or
 * replaces is written again from memory.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { appendOwned, giveToOwner, isStillThere, makeOwnedDirectory, readOwned, writeTemporary } from '../util/index.js'
import type { ReplayLimits } from './replay-cache.js'
import { ReplayCache } from './replay-cache.js'

const recordLength = 32
const rotateAtBytes = 1 << 20
/** Knocks that stay acceptable for longer than this are worth waiting for the disk itself. */
const syncAboveSeconds = 60
/** So many records wait for a disk that takes none. */
const maxWaiting = 32_768

/** What the memory of a credential is found by; a credential that is renamed keeps it. */
export interface Remembered {
  /** Bytes that tell it from all others. */
  readonly identity: Uint8Array
  readonly skew: number
}

interface JournalLimits {
  readonly entries: number
  readonly anyClockEntries: number
}

interface Kept {
  readonly id: number
  memory: ReplayCache
  /** Whether the configuration has the credential; before it has said so, nobody knows its skew. */
  configured: boolean
  /** The highest time that was known when damaged records were found. */
  highestAtDamage: number
}

export class ReplayJournal {
  readonly #directory: string
  readonly #limits: JournalLimits
  readonly #kept = new Map<number, Kept>()
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
  /** Records that could not be read back at the start: somebody, or the disk, damaged the file. */
  damaged = 0
  /** When damaged records were found; they could have been of any credential. */
  #damageFoundAt = -Infinity
  readonly #report: (message: string) => void

  private constructor(directory: string, limits: JournalLimits, report: (message: string) => void) {
    this.#directory = directory
    this.#limits = limits
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
    if (journal.damaged > 0) journal.#noteDamage(now)
    journal.#continueFile(now)
    return journal
  }

  /** The memory for a credential: what was read for it, or kept from before a reload, or a new one. */
  cacheFor(credential: Remembered): ReplayCache {
    const id = credentialId(credential)
    const limits: ReplayLimits = {
      skew: credential.skew,
      entries: credential.skew < 0 ? this.#limits.anyClockEntries : this.#limits.entries,
    }
    const kept = this.#kept.get(id)
    const old = kept?.memory
    const same = old?.limits.skew === limits.skew && old.limits.entries === limits.entries
    if (kept?.configured && same) return kept.memory
    const memory = new ReplayCache(limits)
    memory.raiseFloor(this.#floorByDamage(limits.skew, kept))
    if (old) {
      memory.raiseFloor(old.floor)
      old.forEach((words, time) => memory.remember(wordsBuffer(words), 0, time))
    }
    this.#kept.set(id, { id, memory, configured: true, highestAtDamage: kept?.highestAtDamage ?? -Infinity })
    return memory
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

  /** Writes what the disk did not take before, and the file itself when it was taken away. To be called at intervals. */
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
    if (this.#length - this.#lengthAtStart > rotateAtBytes && now - this.#startedAt > 2 * this.#longestSkew())
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

  #longestSkew(): number {
    return Math.max(0, ...[...this.#kept.values()].map(({ memory }) => memory.limits.skew))
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
      if (bytes.readUInt32LE(at + 28) !== checkOf(bytes, at)) {
        this.damaged++
        continue
      }
      const time = bytes.readUInt32LE(at + 16) + bytes.readUInt32LE(at + 20) * 2 ** 32
      this.#recall(bytes.readUInt32LE(at + 24), bytes, at, time, now)
    }
  }

  #noteDamage(now: number): void {
    this.#damageFoundAt = now
    for (const kept of this.#kept.values()) {
      kept.memory.forEach((_, time) => (kept.highestAtDamage = Math.max(kept.highestAtDamage, time)))
      kept.memory.raiseFloor(this.#floorByDamage(kept.memory.limits.skew, kept))
    }
  }

  /**
   * Up to which time a damaged record may have been of this credential: what was honoured by now was stamped at most `skew`
   * ahead. The clock of a client with any clock may be anywhere ahead, but mostly does not go back.
   */
  #floorByDamage(skew: number, kept: Kept | undefined): number {
    if (this.#damageFoundAt === -Infinity) return -Infinity
    return skew >= 0 ? this.#damageFoundAt + skew : Math.max(this.#damageFoundAt, kept?.highestAtDamage ?? -Infinity)
  }

  // Which credential it was, and with which skew, is known when the configuration asks; until then all is kept.
  #recall(id: number, bytes: Buffer, at: number, time: number, now: number): void {
    const kept = this.#kept.get(id) ?? {
      id,
      memory: new ReplayCache({ skew: -1, entries: Infinity }),
      configured: false,
      highestAtDamage: -Infinity,
    }
    this.#kept.set(id, kept)
    if (bytes.subarray(at, at + 16).every(byte => byte === 0))
      kept.memory.raiseFloor(Math.min(time, now + maxTimeAhead))
    else kept.memory.remember(bytes, at, time)
  }

  // No room for a new file is no reason to stop: the old one goes on, and the next commit tries again.
  #tryToRotate(now: number): void {
    try {
      this.#rotate(now)
    } catch {
      fs.rmSync(this.#path('replays.new'), { force: true })
    }
  }

  #rotate(now: number): void {
    this.#beginFile(
      [...this.#kept.values()].flatMap(kept => [...lastingRecords(kept, now)]),
      now,
      () => {
        if (fs.existsSync(this.#path('replays'))) fs.renameSync(this.#path('replays'), this.#path('replays.old'))
      },
    )
  }

  /** Goes on with a new file. */
  #beginFile(records: readonly Buffer[], now: number, makeRoom: () => void = () => undefined): void {
    const content = Buffer.concat(records)
    // Whole and on disk before anything changes places: when there is no room for it, the old file goes on.
    const next = writeTemporary(this.#path('replays'), content, {
      sync: true,
      prepare: descriptor => {
        giveToOwner(descriptor, this.#directory)
      },
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
      this.#beginFile(
        [...this.#kept.values()].flatMap(kept => [...allRecords(kept)]),
        now,
      )
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
    if (this.damaged > before) this.#noteDamage(now)
  }
}

/** A time that no clock shows counts as this far ahead, so that one such record cannot close a credential for ever. */
const maxTimeAhead = 2 ** 40

/** What must be known for longer than the older file is there. */
function* lastingRecords({ id, memory, configured }: Kept, now: number): Generator<Buffer> {
  const { skew } = memory.limits
  let floor = memory.floor
  // Of a credential that is gone, all that was ever accepted stays refused, should it come back; of a quiet one, what
  // is too old by now, for it goes with the older file.
  const expired = (time: number) => !configured || (skew >= 0 && time + skew < now)
  memory.forEach((_, time) => {
    if (expired(time)) floor = Math.max(floor, time)
  })
  if (floor > -Infinity) yield recordOf([0, 0, 0, 0], floor, id)
  if (!configured) return
  // All others expire before the older file goes. Those of times to come were honoured before the clock was set back.
  const stays = (time: number) => skew < 0 || time > now + skew
  const records: Buffer[] = []
  memory.forEach((words, time) => {
    if (stays(time)) records.push(recordOf(words, time, id))
  })
  yield* records
}

function* allRecords({ id, memory }: Kept): Generator<Buffer> {
  if (memory.floor > -Infinity) yield recordOf([0, 0, 0, 0], memory.floor, id)
  const records: Buffer[] = []
  memory.forEach((words, time) => {
    records.push(recordOf(words, time, id))
  })
  yield* records
}

function recordOf(words: readonly number[], time: number, id: number): Buffer {
  const record = Buffer.concat([wordsBuffer(words)], recordLength)
  finishRecord(record, 0, time, id)
  return record
}

function wordsBuffer(words: readonly number[]): Buffer {
  const buffer = Buffer.alloc(16)
  words.forEach((word, i) => buffer.writeUInt32LE(word, i * 4))
  return buffer
}

function finishRecord(buffer: Buffer, at: number, time: number, id: number): void {
  // The highest times of 64 bits are read as 2^64.
  const whole = time >= 2 ** 64
  buffer.writeUInt32LE(whole ? 0xffffffff : (time % 2 ** 32) >>> 0, at + 16)
  buffer.writeUInt32LE(whole ? 0xffffffff : Math.floor(time / 2 ** 32) >>> 0, at + 20)
  buffer.writeUInt32LE(id, at + 24)
  buffer.writeUInt32LE(checkOf(buffer, at), at + 28)
}

/** FNV-1a over the record without its check (draft-eastlake-fnv). */
function checkOf(buffer: Buffer, at: number): number {
  let hash = 0x811c9dc5
  for (let i = at; i < at + 28; i++) hash = Math.imul(hash ^ (buffer[i] as number), 0x01000193)
  return hash >>> 0
}

const ids = new WeakMap<Remembered, number>()

function credentialId(credential: Remembered): number {
  let id = ids.get(credential)
  if (id === undefined) {
    const hash = createHash('sha256').update('pkctl replay journal 1').update(credential.identity)
    id = hash.digest().readUInt32LE(0)
    ids.set(credential, id)
  }
  return id
}
