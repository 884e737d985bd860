/**
 * The datagrams by which the daemon knocks on itself: they have the shape of a knock, so that the kernel queues them as one,
 * and end in bytes that nothing outside of the process knows. The packet worker knows them by these, and by a source address
 * that only a program on this machine can have.
 *
 *     the first bytes of a knock | zeros | number (4, big-endian) | token (32, random, of this run of the daemon)
 */
import { randomBytes } from 'node:crypto'
import type { Packet } from '../../queue/index.js'

/** All of 127.0.0.0/8 is this machine's own. Nothing else uses this one, so that no connection waits behind a self-test. */
export const ownAddress = '127.80.75.1'
const ownAddressNumber = 0x7f_50_4b_01

const tokenLength = 32
const numberLength = 4
const tailLength = numberLength + tokenLength

/** The payload of the shortest knock that has room for it behind the first 8 bytes. */
export const shortestPayload = 8 + tailLength

export const newToken = (): Uint8Array => new Uint8Array(randomBytes(tokenLength))

interface OwnDatagram {
  /** The first bytes of the payload, by which the kernel knows it. */
  readonly start: Uint8Array
  /** Bytes; at least `shortestPayload`. */
  readonly payloadLength: number
  readonly number: number
}

export function ownPayload({ start, payloadLength, number }: OwnDatagram, token: Uint8Array): Buffer {
  const payload = Buffer.alloc(payloadLength)
  payload.set(start)
  payload.writeUInt32BE(number, payloadLength - tailLength)
  payload.set(token, payloadLength - tokenLength)
  return payload
}

/** What the packet worker has seen of them. */
export class OwnDatagrams {
  readonly #token: Buffer
  #seen: number[] = []

  /** `onSeen` gets their numbers, when the answers to them are out. */
  constructor(
    token: Uint8Array,
    readonly onSeen: (numbers: readonly number[]) => void,
  ) {
    this.#token = Buffer.from(token)
  }

  /** Whether it is one of them, which is then noted. Of packets from elsewhere, only the source address is compared. */
  takes({ version, buffer, sourceAt, payloadAt, payloadLength }: Packet): boolean {
    if (version !== 4 || payloadLength < tailLength || buffer.readUInt32BE(sourceAt) !== ownAddressNumber) return false
    const end = payloadAt + payloadLength
    if (this.#token.compare(buffer, end - tokenLength, end) !== 0) return false
    this.#seen.push(buffer.readUInt32BE(end - tailLength))
    return true
  }

  tell(): void {
    if (this.#seen.length === 0) return
    this.onSeen(this.#seen)
    this.#seen = []
  }
}
