/**
 * One record of the replay journal, 32 bytes: the first 16 of the knock's digest, its time (Unix seconds, 64 bits), four
 * bytes that name the credential, four that check the rest; numbers are little-endian. A digest of zeros says that
 * everything of that credential up to that time is refused.
 */

export const recordLength = 32

/** The record of a digest, given as four words. */
export function recordOf(words: readonly number[], time: number, id: number): Buffer {
  const record = Buffer.concat([wordsBuffer(words)], recordLength)
  finishRecord(record, 0, time, id)
  return record
}

/** The record that refuses a credential's knocks up to a time. */
export const floorRecord = (time: number, id: number): Buffer => recordOf([0, 0, 0, 0], time, id)

/** The first 16 bytes of a digest, from its four words. */
export function wordsBuffer(words: readonly number[]): Buffer {
  const buffer = Buffer.alloc(16)
  words.forEach((word, i) => buffer.writeUInt32LE(word, i * 4))
  return buffer
}

/** Completes a record whose digest is in place. */
export function finishRecord(buffer: Buffer, at: number, time: number, id: number): void {
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

/** Whether there is an undamaged record at `at`. */
export const isRecord = (buffer: Buffer, at: number): boolean => buffer.readUInt32LE(at + 28) === checkOf(buffer, at)

/** Whether a record refuses all knocks up to its time. */
export const isFloor = (buffer: Buffer, at: number): boolean => buffer.subarray(at, at + 16).every(byte => byte === 0)

export const timeIn = (buffer: Buffer, at: number): number =>
  buffer.readUInt32LE(at + 16) + buffer.readUInt32LE(at + 20) * 2 ** 32

export const idIn = (buffer: Buffer, at: number): number => buffer.readUInt32LE(at + 24)
