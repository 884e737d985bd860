/**
 * What a knock asks for, as the first bytes of the sealed body. Numbers are big-endian. One request has one spelling:
 * fields that are not there take no bytes, and everything behind the last one is zero.
 *
 * | size   | there when    | field                                                                        |
 * | ------ | ------------- | ---------------------------------------------------------------------------- |
 * | 1      |               | version: 1                                                                   |
 * | 1      |               | flags: see below; the other bits are zero                                    |
 * | 8      |               | time, Unix milliseconds                                                      |
 * | 4      | flag 2        | window: how long the grant is to last, in seconds, from 1                    |
 * | 1      | flag 4        | prefix: how many bits of the source are to be granted, 1 to 128              |
 * | 1 + n  | flag 8        | other: family, 4 or 6, and an address of 4 or 16 bytes to be granted as well |
 * | 1 + n  | flag 16       | host: family and an address to be granted instead of the source              |
 * | 1 + n  | flag 32       | services: their number, from 1, and for each the length and the name in ASCII |
 *
 * Flag 1: the grant is to be revoked. Names of services are in ascending order, each once.
 */
import { addressFromBytes } from '../../net/index.js'
import type { Requested, Wishes } from '../format.js'

export interface KnockRequestBody {
  /** Unix milliseconds. */
  readonly time: bigint
  readonly close: boolean
  /** Seconds; null = as the server says. */
  readonly window: number | null
  /** Bits; null = as the server says. */
  readonly prefix: number | null
  /** 4 or 16 bytes: an address that is to be granted as well. */
  readonly other: Buffer | null
  /** 4 or 16 bytes: an address that is to be granted instead of the source. */
  readonly host: Buffer | null
  /** None = all that the credential opens. */
  readonly services: readonly string[]
}

export const plainRequest = (time: bigint): KnockRequestBody => ({
  time,
  close: false,
  window: null,
  prefix: null,
  other: null,
  host: null,
  services: [],
})

const version = 1
const flags = { close: 1, window: 2, prefix: 4, other: 8, host: 16, services: 32 } as const
const allFlags = 63
const headLength = 10
const serviceName = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/

/** As `size` bytes; undefined where the request does not fit, or has a value that no receiver takes. */
export function encodeRequest(request: KnockRequestBody, size: number): Buffer | undefined {
  const { time, close, window, prefix, other, host, services } = request
  const head = Buffer.alloc(headLength)
  head[0] = version
  head[1] =
    (close ? flags.close : 0) |
    (window === null ? 0 : flags.window) |
    (prefix === null ? 0 : flags.prefix) |
    (other === null ? 0 : flags.other) |
    (host === null ? 0 : flags.host) |
    (services.length === 0 ? 0 : flags.services)
  head.writeBigUInt64BE(time, 2)
  const fields = [
    ...(window === null ? [] : [uint32(window)]),
    ...(prefix === null ? [] : [Buffer.from([prefix])]),
    ...[other, host].flatMap(address => (address === null ? [] : [addressField(address)])),
    ...(services.length === 0 ? [] : [Buffer.from([services.length]), ...services.map(nameField)]),
  ]
  const bytes = Buffer.concat([head, ...fields])
  if (bytes.length > size) return undefined
  const padded = Buffer.concat([bytes], size)
  return decodeRequest(padded, 0, size) ? padded : undefined
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const addressField = (address: Buffer) => Buffer.concat([Buffer.from([address.length === 4 ? 4 : 6]), address])
const nameField = (name: string) => Buffer.concat([Buffer.from([name.length]), Buffer.from(name, 'latin1')])

/** Reads the `size` bytes at `at`; undefined for every spelling but the one of `encodeRequest`. */
export function decodeRequest(bytes: Buffer, at: number, size: number): KnockRequestBody | undefined {
  const end = at + size
  const given = bytes[at + 1] as number
  if (bytes[at] !== version || (given & ~allFlags) !== 0) return undefined
  const time = bytes.readBigUInt64BE(at + 2)
  let next = at + headLength
  /** Steps over `count` bytes and gives their place; undefined where there are not so many. */
  const take = (count: number) => {
    if (next + count > end) return undefined
    next += count
    return next - count
  }
  const takeByte = () => {
    const place = take(1)
    return place === undefined ? undefined : bytes[place]
  }
  const takeAddress = () => {
    const family = takeByte()
    if (family !== 4 && family !== 6) return undefined
    const length = family === 4 ? 4 : 16
    const place = take(length)
    return place === undefined ? undefined : Buffer.from(bytes.subarray(place, place + length))
  }

  let window: number | null = null
  if ((given & flags.window) !== 0) {
    const place = take(4)
    window = place === undefined ? 0 : bytes.readUInt32BE(place)
    if (window === 0) return undefined
  }
  let prefix: number | null = null
  if ((given & flags.prefix) !== 0) {
    prefix = takeByte() ?? 0
    if (prefix === 0 || prefix > 128) return undefined
  }
  let other: Buffer | null = null
  if ((given & flags.other) !== 0 && !(other = takeAddress() ?? null)) return undefined
  let host: Buffer | null = null
  if ((given & flags.host) !== 0 && !(host = takeAddress() ?? null)) return undefined
  const services: string[] = []
  if ((given & flags.services) !== 0) {
    const count = takeByte() ?? 0
    if (count === 0) return undefined
    for (let i = 0; i < count; i++) {
      const length = takeByte() ?? 0
      const place = take(length)
      const name = place === undefined ? '' : bytes.toString('latin1', place, place + length)
      const last = services.at(-1)
      if (!serviceName.test(name) || (last !== undefined && last >= name)) return undefined
      services.push(name)
    }
  }
  for (; next < end; next++) if (bytes[next] !== 0) return undefined
  return { time, close: (given & flags.close) !== 0, window, prefix, other, host, services }
}

/** Of a request that was read. */
export const wishesOf = ({ close, window, prefix, other, host, services }: KnockRequestBody): Wishes => ({
  ...{ close, window, prefix, services },
  ...{ other: requestedAddress(other), host: requestedAddress(host) },
})

function requestedAddress(bytes: Buffer | null): Requested | null {
  if (!bytes) return null
  const version = bytes.length === 4 ? 4 : 6
  return { version, address: addressFromBytes(bytes, 0, version) }
}
