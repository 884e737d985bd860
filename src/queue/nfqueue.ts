/**
 * The queue: packets in, verdicts out, in batches. One thread belongs to it alone, because waiting blocks.
 *
 * The library binds the queue; after that the netlink messages are read and written on its descriptor directly, which
 * costs a fraction of a call through FFI.
 */
import * as fs from 'node:fs'
import type { NativeHandle, Libraries } from './libraries.js'
import { CallError, openLibraries } from './libraries.js'
import { readQueuedPacket, verdictBuffer, verdictLength, writeVerdict } from './netlink.js'
import { explainOpenError } from './open-error.js'
import { Packet } from './packet.js'
import { RulesetEvents } from './ruleset-events.js'

/** The packets of one batch, and the places for the answers to them. */
export interface Batch {
  readonly packets: readonly Packet[]
  /** How many of `packets` are filled this time. */
  count: number
  /**
   * For each packet the mark with which it goes on, or `answeredLater`. Preset to the mark it came with.
   */
  readonly answers: Float64Array
}

/** In place of a mark: the packet stays in the queue until `PacketQueue.answerHeld`, and others go on meanwhile. */
export const answeredLater = -1

/** The late answer to one packet. */
export interface HeldAnswer {
  /** Of the packet. */
  readonly id: number
  readonly mark: number
}

interface QueueOptions {
  readonly number: number
  /** Packets that may wait. */
  readonly maxLength: number
}

export interface QueueLoop {
  /** Called with every batch; when it returns, the answers go out. */
  onBatch(batch: Batch): void
  /** Called when the answers to some batches are out: for what the packets need not wait for. */
  onAnswered(): void
  /** Called when the descriptor for waking up became readable. Return true to end the loop. */
  onWake(): boolean
  /** Called when the ruleset has changed, once it is watched: see `watchRuleset`. */
  onRuleset(): void
  /** How long to wait at most, in milliseconds; -1 = until there is something. After that, `onTick` is called. */
  longestWait(): number
  onTick(): void
}

const batchSize = 64
/** So many batches are answered without a look at anything else. */
const maxUntold = 16
/**
 * So many packets that find the thread idle are answered one by one: a read that finds nothing more, and so ends a batch,
 * takes as long as several packets.
 */
const answeredAlone = 2
/** Of each packet this much is copied: the longest knock, of 1024 bytes, behind the longest headers that are decoded. */
const copyRange = 1536
const slotSize = 2048
/** Room for a queue's worth of messages that have not been read yet, in bytes. */
const receiveBuffer = 64 * 1024 * 1024

// linux/netlink.h, asm-generic/socket.h, fcntl.h, poll.h
const solSocket = 1
const soRcvbufForce = 33
const solNetlink = 270
const netlinkNoEnobufs = 5
const fSetfd = 2
const fSetfl = 4
const fdCloexec = 1
const oNonblock = 0o4000
const oCloexec = 0o2000000
const pollIn = 1
const copyPacket = 2
/** NFQA_CFG_F_FAIL_OPEN: the overflow continues without an answer. */
const flagPassOverflow = 1

export class PacketQueue {
  readonly #c: Libraries
  readonly #handle: NativeHandle
  readonly #queue: NativeHandle
  readonly #descriptor: number
  readonly #wakeReader: number
  /** Writing a byte here wakes the loop, from any thread. */
  readonly wakeWriter: number
  readonly #number: number
  #ruleset: RulesetEvents | undefined

  private constructor(c: Libraries, handle: NativeHandle, queue: NativeHandle, number: number) {
    this.#c = c
    this.#handle = handle
    this.#queue = queue
    this.#number = number
    this.#descriptor = c.int('nfq_fd', handle)
    // The library leaves it open for every program that is started: it could answer packets, and hold the queue.
    c.int('fcntl', this.#descriptor, fSetfd, fdCloexec)
    const ends = Buffer.alloc(8)
    c.int('pipe2', ends, oNonblock | oCloexec)
    this.#wakeReader = ends.readInt32LE(0)
    this.wakeWriter = ends.readInt32LE(4)
  }

  /** Binds the queue. QueueError when it is taken, when rights or kernel support are missing, or the library is. */
  static open({ number, maxLength }: QueueOptions): PacketQueue {
    const c = openLibraries()
    try {
      const handle = c.pointer('nfq_open')
      const queue = new PacketQueue(c, handle, c.pointer('nfq_create_queue', handle, number, c.null, c.null), number)
      queue.#configure(maxLength)
      return queue
    } catch (error) {
      throw explainOpenError(error, number)
    }
  }

  #configure(maxLength: number): void {
    const number = (value: number) => {
      const buffer = Buffer.alloc(4)
      buffer.writeInt32LE(value)
      return buffer
    }
    this.#c.int('setsockopt', this.#descriptor, solSocket, soRcvbufForce, number(receiveBuffer), 4)
    // Otherwise a full buffer is an error of the next read; see below what becomes of the packets.
    this.#c.int('setsockopt', this.#descriptor, solNetlink, netlinkNoEnobufs, number(1), 4)
    this.#c.int('nfq_set_queue_maxlen', this.#queue, maxLength)
    // What does not fit in the queue, or in the socket's buffer, goes on unanswered, and the ruleset refuses unanswered
    // knocks: nothing opens by it, and connections of sources with access do not suffer from a flood.
    this.#c.int('nfq_set_queue_flags', this.#queue, flagPassOverflow, flagPassOverflow)
    this.#c.int('nfq_set_mode', this.#queue, copyPacket, copyRange)
    this.#c.int('fcntl', this.#descriptor, fSetfl, oNonblock)
  }

  /** Has `run` notice changes of the ruleset, too: the thread waits in any case. Throws an error of the system. */
  watchRuleset(): void {
    this.#ruleset = RulesetEvents.open(this.#c)
  }

  /** Answers packets until `onWake` says so, and before it returns, those that were already waiting. */
  run(loop: QueueLoop): void {
    const buffer = Buffer.alloc(batchSize * slotSize)
    const packets = Array.from({ length: batchSize }, () => new Packet(buffer))
    const batch: Batch = { packets, count: 0, answers: new Float64Array(batchSize) }
    const verdicts = verdictBuffer(batchSize, this.#number)
    const ruleset = this.#ruleset
    const interest = new Interest([this.#descriptor, this.#wakeReader, ...(ruleset ? [ruleset.descriptor] : [])])
    for (let ending = false, alone = 0, untold = 0; ;) {
      const more = this.#receive(batch, buffer, alone > 0 ? 1 : batchSize)
      if (batch.count > 0) {
        loop.onBatch(batch)
        this.#answer(batch, verdicts)
        alone--
        untold++
        // The connection behind a knock comes while that is answered. It goes before everything else, too.
        if (untold < maxUntold) continue
      }
      if (untold > 0) loop.onAnswered()
      untold = 0
      if (ending && !more) return
      // Under load there is no time to wait, but always some to see whether there is a request.
      this.#wait(interest, more || ending ? 0 : loop.longestWait())
      if (interest.isReady(1)) {
        fs.readSync(this.#wakeReader, Buffer.alloc(64))
        if (loop.onWake()) ending = true
      }
      if (interest.isReady(2)) {
        ruleset?.drain()
        loop.onRuleset()
      }
      loop.onTick()
      alone = more ? 0 : answeredAlone
    }
  }

  /** Unbinds the queue. Only after `run` has returned. */
  close(): void {
    this.#c.int('nfq_destroy_queue', this.#queue)
    this.#c.int('nfq_close', this.#handle)
    fs.closeSync(this.#wakeReader)
    this.#ruleset?.close()
  }

  /** Fills the batch with what is there, up to `limit` packets. True when there may be more. */
  #receive(batch: Batch, buffer: Buffer, limit: number): boolean {
    batch.count = 0
    while (batch.count < limit) {
      const packet = batch.packets[batch.count] as Packet
      const at = batch.count * slotSize
      let length: number
      try {
        length = fs.readSync(this.#descriptor, buffer, at, slotSize, null)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'EAGAIN') return false
        if (code === 'EINTR') continue
        throw error
      }
      if (readQueuedPacket(packet, at, length)) {
        batch.answers[batch.count] = packet.mark
        batch.count++
      }
    }
    return true
  }

  #answer({ packets, count, answers }: Batch, verdicts: Buffer): void {
    let answered = 0
    for (let i = 0; i < count; i++) {
      const answer = answers[i] as number
      if (answer !== answeredLater) writeVerdict(verdicts, answered++, (packets[i] as Packet).id, answer)
    }
    if (answered > 0) fs.writeSync(this.#descriptor, verdicts, 0, answered * verdictLength)
  }

  /** Answers packets that were left without an answer, in this order. From the thread of `run`, while it runs. */
  answerHeld(answers: readonly HeldAnswer[]): void {
    for (let from = 0; from < answers.length; from += batchSize) {
      const some = answers.slice(from, from + batchSize)
      const verdicts = verdictBuffer(some.length, this.#number)
      for (const [i, { id, mark }] of some.entries()) writeVerdict(verdicts, i, id, mark)
      fs.writeSync(this.#descriptor, verdicts)
    }
  }

  /** Waits for one of the descriptors, at most `milliseconds`, or without end for -1. */
  #wait(interest: Interest, milliseconds: number): void {
    interest.clear()
    try {
      this.#c.int('poll', interest.bytes, interest.count, milliseconds)
    } catch (error) {
      if (!(error instanceof CallError && error.message.includes('Interrupted'))) throw error
    }
  }
}

const pollfdBytes = 8

/** What poll(2) is asked for: an array of struct pollfd. */
class Interest {
  readonly bytes: Buffer
  readonly count: number

  constructor(descriptors: readonly number[]) {
    this.count = descriptors.length
    this.bytes = Buffer.alloc(pollfdBytes * descriptors.length)
    for (const [i, descriptor] of descriptors.entries()) {
      this.bytes.writeInt32LE(descriptor, i * pollfdBytes)
      this.bytes.writeInt16LE(pollIn, i * pollfdBytes + 4)
    }
  }

  clear(): void {
    for (let i = 0; i < this.count; i++) this.bytes.writeInt16LE(0, i * pollfdBytes + 6)
  }

  /** Whether the descriptor at this place of the list was found readable. */
  isReady(place: number): boolean {
    return place < this.count && this.bytes.readInt16LE(place * pollfdBytes + 6) !== 0
  }
}
