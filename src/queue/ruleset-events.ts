/**
 * Notices that the ruleset has changed, by whatever program, without asking at intervals: the kernel reports each transaction to
 * a netlink group. It reports each object as well, and the elements of big lists one by one; a filter in the kernel lets only the
 * last message of a transaction through, so that a list of any length costs one wake-up.
 */
import * as fs from 'node:fs'
import { openSocket } from './datagram.js'
import type { Libraries } from './libraries.js'
import { getGeneration, nftMsgNewgen } from './netfilter-messages.js'
import { afNetlink, netlinkNetfilter, sockNonblock, sockRaw } from './netfilter-messages.js'

const solNetlink = 270
const netlinkAddMembership = 1
const netlinkNoEnobufs = 5
const groupNftables = 7
const messageBytes = 8192
/** After so many messages in one go the rest has to wait. */
const mostAtOnce = 256

// linux/filter.h
const loadHalfWord = 0x28
const jumpIfEqual = 0x15
const give = 0x06
const typeOffset = 4
const everything = 0xffff_ffff

/** One instruction: struct sock_filter. */
function instruction(code: number, whenTrue: number, whenFalse: number, k: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt16LE(code, 0)
  bytes.writeUInt8(whenTrue, 2)
  bytes.writeUInt8(whenFalse, 3)
  bytes.writeUInt32LE(k, 4)
  return bytes
}

/** The message type is in the byte order of the machine, and the filter reads in that of the network. */
const swapped = (value: number) => ((value & 0xff) << 8) | (value >> 8)

/** Lets messages of the type NFT_MSG_NEWGEN through. */
const onlyNewGeneration = Buffer.concat([
  instruction(loadHalfWord, 0, 0, typeOffset),
  instruction(jumpIfEqual, 0, 1, swapped(nftMsgNewgen)),
  instruction(give, 0, 0, everything),
  instruction(give, 0, 0, 0),
])

export class RulesetEvents {
  readonly #buffer = Buffer.alloc(messageBytes)

  private constructor(
    /** Readable when the ruleset has changed. */
    readonly descriptor: number,
  ) {}

  /** Throws an error of the system. */
  static open(c: Libraries): RulesetEvents {
    const descriptor = openSocket(afNetlink, sockRaw | sockNonblock, netlinkNetfilter)
    const setOption = (option: number, value: number) => {
      const bytes = Buffer.alloc(4)
      bytes.writeInt32LE(value)
      c.int('setsockopt', descriptor, solNetlink, option, bytes, 4)
    }
    try {
      c.attachFilter(descriptor, onlyNewGeneration)
      setOption(netlinkNoEnobufs, 1)
      // A socket has no address, and is told nothing, before it has sent something. The answer counts as a change.
      fs.writeSync(descriptor, getGeneration)
      setOption(netlinkAddMembership, groupNftables)
      return new RulesetEvents(descriptor)
    } catch (error) {
      fs.closeSync(descriptor)
      throw error
    }
  }

  /** Takes what was reported off the socket, as far as one call should. */
  drain(): void {
    for (let i = 0; i < mostAtOnce; i++) {
      try {
        fs.readSync(this.descriptor, this.#buffer)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'EAGAIN') return
        // With more than fits, some were lost: there was a change in any case.
        if (code !== 'EINTR' && code !== 'ENOBUFS') throw error
      }
    }
  }

  close(): void {
    fs.closeSync(this.descriptor)
  }
}
