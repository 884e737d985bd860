/**
 * The replay cache of each credential, as configured and as read back from the journal, and what goes into a new file of it.
 */
import { createHash } from 'node:crypto'
import type { ReplayLimits } from './replay-cache.js'
import { ReplayCache } from './replay-cache.js'
import { floorRecord, idIn, isFloor, recordOf, timeIn, wordsBuffer } from './replay-record.js'

/** A time that no clock shows counts as this far ahead, so that one such record cannot close a credential without end. */
const maxTimeAhead = 2 ** 40

/** What the replay cache of a credential is found by; a credential that is renamed keeps it. */
export interface Remembered {
  /** Bytes that tell it from all others. */
  readonly identity: Uint8Array
  readonly skew: number
}

export interface JournalLimits {
  readonly entries: number
  readonly anyClockEntries: number
}

/** How much is remembered. */
export interface ReplayUsage {
  /** Knocks of all credentials together. */
  readonly entries: number
  /** Of the cache that is fullest, 0 to 1. One of any clock forgets its oldest instead, and does not count. */
  readonly fullest: number
}

interface Kept {
  readonly id: number
  cache: ReplayCache
  /** Whether the configuration has the credential; before it has said so, its skew is unknown. */
  configured: boolean
  /** The highest time that was known when damaged records were found. */
  highestAtDamage: number
}

export class ReplayCaches {
  readonly #limits: JournalLimits
  readonly #kept = new Map<number, Kept>()
  /** When damaged records were found; they could have been of any credential. */
  #damageFoundAt = -Infinity

  constructor(limits: JournalLimits) {
    this.#limits = limits
  }

  /** The cache of a credential: what was read for it, or kept from before a reload, or a new one. */
  of(credential: Remembered): ReplayCache {
    const id = credentialId(credential)
    const limits: ReplayLimits = {
      skew: credential.skew,
      entries: credential.skew < 0 ? this.#limits.anyClockEntries : this.#limits.entries,
    }
    const kept = this.#kept.get(id)
    const old = kept?.cache
    const same = old?.limits.skew === limits.skew && old.limits.entries === limits.entries
    if (kept?.configured && same) return kept.cache
    const cache = new ReplayCache(limits)
    cache.raiseFloor(this.#floorByDamage(limits.skew, kept))
    if (old) {
      cache.raiseFloor(old.floor)
      old.forEach((words, time) => cache.remember(wordsBuffer(words), 0, time))
    }
    this.#kept.set(id, { id, cache, configured: true, highestAtDamage: kept?.highestAtDamage ?? -Infinity })
    return cache
  }

  usage(): ReplayUsage {
    const caches = [...this.#kept.values()]
    const bounded = caches.filter(({ configured, cache }) => configured && cache.limits.skew >= 0)
    return {
      entries: caches.reduce((sum, { cache }) => sum + cache.size, 0),
      fullest: Math.max(0, ...bounded.map(({ cache }) => cache.size / cache.limits.entries)),
    }
  }

  /** Seconds. */
  longestSkew(): number {
    return Math.max(0, ...[...this.#kept.values()].map(({ cache }) => cache.limits.skew))
  }

  /** Damaged records were found: what they may have refused is refused. */
  noteDamage(now: number): void {
    this.#damageFoundAt = now
    for (const kept of this.#kept.values()) {
      kept.cache.forEach((_, time) => (kept.highestAtDamage = Math.max(kept.highestAtDamage, time)))
      kept.cache.raiseFloor(this.#floorByDamage(kept.cache.limits.skew, kept))
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

  /** Takes what a record says. Its credential, and with it the skew, is known when the configuration asks; until then all is kept. */
  recall(bytes: Buffer, at: number, now: number): void {
    const [id, time] = [idIn(bytes, at), timeIn(bytes, at)]
    const kept = this.#kept.get(id) ?? {
      id,
      cache: new ReplayCache({ skew: -1, entries: Infinity }),
      configured: false,
      highestAtDamage: -Infinity,
    }
    this.#kept.set(id, kept)
    if (isFloor(bytes, at)) kept.cache.raiseFloor(Math.min(time, now + maxTimeAhead))
    else kept.cache.remember(bytes, at, time)
  }

  /** Records of all that must be known for longer than the older file is there. */
  lastingRecords(now: number): Buffer[] {
    return [...this.#kept.values()].flatMap(kept => [...lastingRecordsOf(kept, now)])
  }

  /** Records of all that is known. */
  allRecords(): Buffer[] {
    return [...this.#kept.values()].flatMap(kept => [...allRecordsOf(kept)])
  }
}

function* lastingRecordsOf({ id, cache, configured }: Kept, now: number): Generator<Buffer> {
  const { skew } = cache.limits
  let floor = cache.floor
  // Of a credential that is gone, all that was ever accepted stays refused, should it come back; of a quiet one, what
  // is too old by now, for it goes with the older file.
  const expired = (time: number) => !configured || (skew >= 0 && time + skew < now)
  cache.forEach((_, time) => {
    if (expired(time)) floor = Math.max(floor, time)
  })
  if (floor > -Infinity) yield floorRecord(floor, id)
  if (!configured) return
  // All others expire before the older file goes. Those of times to come were honoured before the clock was set back.
  const stays = (time: number) => skew < 0 || time > now + skew
  const records: Buffer[] = []
  cache.forEach((words, time) => {
    if (stays(time)) records.push(recordOf(words, time, id))
  })
  yield* records
}

function* allRecordsOf({ id, cache }: Kept): Generator<Buffer> {
  if (cache.floor > -Infinity) yield floorRecord(cache.floor, id)
  const records: Buffer[] = []
  cache.forEach((words, time) => {
    records.push(recordOf(words, time, id))
  })
  yield* records
}

const ids = new WeakMap<Remembered, number>()

/** The four bytes that name a credential in records. */
export function credentialId(credential: Remembered): number {
  let id = ids.get(credential)
  if (id === undefined) {
    const hash = createHash('sha256').update('pkctl replay journal 1').update(credential.identity)
    id = hash.digest().readUInt32LE(0)
    ids.set(credential, id)
  }
  return id
}
