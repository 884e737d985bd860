/**
 * The data types of SSH (RFC 4251 section 5), read strictly: nothing is read beyond the end, nothing is left over, and a
 * number has one spelling.
 */
import { isUtf8 } from 'node:buffer'
import { SshFormatError } from './ssh-format-error.js'

export class SshReader {
  readonly bytes: Buffer
  /** Names the bytes in errors: `the public key`. */
  readonly #what: string
  #at = 0

  constructor(bytes: Buffer, what: string) {
    this.bytes = bytes
    this.#what = what
  }

  /** How many bytes have been read. */
  get position(): number {
    return this.#at
  }

  get isAtEnd(): boolean {
    return this.#at === this.bytes.length
  }

  uint8(): number {
    return this.take(1).readUInt8(0)
  }

  uint32(): number {
    return this.take(4).readUInt32BE(0)
  }

  uint64(): bigint {
    return this.take(8).readBigUInt64BE(0)
  }

  boolean(): boolean {
    const value = this.uint8()
    if (value > 1) throw this.error('has a boolean that is neither 0 nor 1')
    return value === 1
  }

  /** A length of 4 bytes, and that many bytes. */
  string(): Buffer {
    return this.take(this.uint32())
  }

  /** A string that is UTF-8 and has no NUL. */
  text(): string {
    const bytes = this.string()
    if (bytes.includes(0)) throw this.error('has text with a NUL character')
    if (!isUtf8(bytes)) throw this.error('has text that is not UTF-8')
    return bytes.toString()
  }

  /** The bytes of a number that is not negative, big-endian, without leading zeros; none for zero. */
  unsigned(): Buffer {
    const bytes = this.string()
    const [first = 0, second = 0] = bytes
    if (bytes.length === 0) return bytes
    if (first > 0x7f) throw this.error('has a negative number')
    if (first > 0) return bytes
    if (second <= 0x7f) throw this.error('has a number with needless zeros')
    return bytes.subarray(1)
  }

  take(length: number): Buffer {
    if (length > this.bytes.length - this.#at) throw this.error('ends too early')
    this.#at += length
    return this.bytes.subarray(this.#at - length, this.#at)
  }

  end(): void {
    if (!this.isAtEnd) throw this.error('has bytes after its end')
  }

  error(why: string): SshFormatError {
    return new SshFormatError(`${this.#what} ${why}`)
  }
}

/** A string of SSH: the length in 4 bytes, and the bytes. */
export function sshString(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  const result = Buffer.alloc(4 + bytes.length)
  result.writeUInt32BE(bytes.length)
  bytes.copy(result, 4)
  return result
}
