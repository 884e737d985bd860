/** What a signed knock can ask for beside services and a time, as flags and host entries spell it. */
import { addressBytes, parseAddress } from '../net/index.js'
import { ValueError } from '../util/index.js'

/** The bits of the sender's address that are to be granted. Throws a ValueError. */
export function parsePrefixLength(text: string | number): number {
  const length = /^\d{1,3}$/.test(String(text)) ? Number(text) : 0
  if (length >= 1 && length <= 128) return length
  throw new ValueError(`expected a number of bits from 1 to 128, not '${text}'`)
}

/** No one asks for so much of IPv6. */
export const isIpv4Prefix = (length: number): boolean => length <= 32

/** The 4 or 16 bytes of an address. Throws a ValueError. */
export const bytesOf = (text: string): Buffer => Buffer.from(addressBytes(parseAddress(text).address), 'latin1')

/** Of an address that is to be granted as well. Throws a ValueError. */
export const parseOther = (text: string | number): Buffer => bytesOf(String(text))
