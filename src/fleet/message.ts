/**
 * What the servers of a fleet tell each other, as it stands in the engine: bytes with an HMAC-SHA256 under the key of the group over
 * all of them, so that those who can write to the engine, or own it, make up and change nothing. It carries no secret.
 *
 *     0  4  "PKF1"
 *     4  1  kind: 1 grant, 2 revocation, 3 hello
 *     5  1  by: 0 for a hello, 1 knock, 2 hand
 *     6  1  family of the address: 4 or 6, and 0 for a hello
 *     7  1  length of the prefix
 *     8 16  address, with zeros behind one of IPv4
 *    24  8  made, and
 *    32  8  end of the grant, or of what is revoked: Unix milliseconds
 *    40  8  epoch: when the sender began to count
 *    48  8  number of the message in the epoch
 *    56     length in two bytes, and text: group, node, service; of a hello, what the node says of itself
 *           HMAC, 32 bytes
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IpFamily } from '../net/index.js'
import { addressBytes, addressFromBytes, bitsOf, isLinkLocal, parseGranted, splitPrefix } from '../net/index.js'
import { ValueError } from '../util/index.js'

export type GrantedBy = 'knock' | 'hand'

interface Sent {
  /** Who has sent it. */
  readonly node: string
  /** When the sender began to count: it has done so again after each start. */
  readonly epoch: number
  /** From 1, without gaps. */
  readonly sequence: number
  /** Unix milliseconds of the sender. */
  readonly made: number
}

/** That a source has a grant until a time, or that what it had is revoked. */
export interface GrantMessage extends Sent {
  readonly kind: 'grant' | 'revoke'
  readonly by: GrantedBy
  readonly service: string
  /** An address, or a prefix. */
  readonly source: string
  /** Unix milliseconds. Of a revocation, until when it must be remembered. */
  readonly until: number
}

/** That a node is there. */
interface HelloMessage extends Sent {
  readonly kind: 'hello'
  /** See hello.ts. */
  readonly text: string
}

export type FleetMessage = GrantMessage | HelloMessage

/** Whose messages they are. */
export interface Group {
  readonly name: string
  /** 32 bytes. */
  readonly key: Buffer
}

/** Why a message does not count; `foreign`: its HMAC is of another key, or it was changed. */
export const messageRefusals = ['malformed', 'version', 'foreign', 'group', 'future', 'overlong'] as const
export type MessageRefusal = (typeof messageRefusals)[number]

const magic = Buffer.from('PKF1')
const versionless = Buffer.from('PKF')
const headerLength = 56
const macLength = 32
/** Of names, and of what a node says of itself. */
const longestName = 64
export const longestHello = 1024
const longest = headerLength + 3 * 2 + 2 * longestName + longestHello + macLength
const kinds = ['grant', 'revoke', 'hello'] as const
const grantedBy = ['knock', 'hand'] as const

/** The message as it goes to the engine. Throws a ValueError for what no reader would take. */
export function encodeMessage(message: FleetMessage, group: Group): string {
  const isHello = message.kind === 'hello'
  const header = Buffer.alloc(headerLength)
  magic.copy(header)
  header[4] = kinds.indexOf(message.kind) + 1
  if (!isHello) {
    const { version, address, length } = splitPrefix(message.source)
    header[5] = grantedBy.indexOf(message.by) + 1
    header[6] = version
    header[7] = length
    header.write(addressBytes(address), 8, 'latin1')
    header.writeBigUInt64BE(BigInt(message.until), 32)
  }
  header.writeBigUInt64BE(BigInt(message.made), 24)
  header.writeBigUInt64BE(BigInt(message.epoch), 40)
  header.writeBigUInt64BE(BigInt(message.sequence), 48)
  const texts = [
    textBytes(group.name, longestName),
    textBytes(message.node, longestName),
    isHello ? textBytes(message.text, longestHello) : textBytes(message.service, longestName),
  ]
  const body = Buffer.concat([header, ...texts])
  return Buffer.concat([body, macOf(body, group.key)]).toString('base64')
}

function textBytes(text: string, most: number): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length > most) throw new ValueError(`expected at most ${most} bytes`)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

const macOf = (body: Buffer, key: Buffer) => createHmac('sha256', key).update(body).digest()

/** What a reader takes. Times are milliseconds. */
export interface MessageLimits {
  readonly now: number
  /** How far the clock of a sender can be ahead. */
  readonly ahead: number
  /** How long a grant can run. */
  readonly longestWindow: number
}

/** The message, or why it is refused. Never throws, whatever the text is. */
export function decodeMessage(text: string, group: Group, limits: MessageLimits): FleetMessage | MessageRefusal {
  if (text.length > Math.ceil(longest / 3) * 4) return 'malformed'
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text || bytes.length < headerLength + macLength + 6) return 'malformed'
  if (!bytes.subarray(0, versionless.length).equals(versionless)) return 'malformed'
  if (!bytes.subarray(0, magic.length).equals(magic)) return 'version'
  const body = bytes.subarray(0, -macLength)
  if (!timingSafeEqual(bytes.subarray(-macLength), macOf(body, group.key))) return 'foreign'
  // From here on it is by a holder of the key, who can still be a newer version, or be wrong.
  const texts = textsIn(body.subarray(headerLength))
  if (!texts) return 'malformed'
  const [name, node, last] = texts
  if (name !== group.name) return 'group'
  const kind = kinds[(body[4] as number) - 1]
  const sent = { node, epoch: timeAt(body, 40), sequence: timeAt(body, 48), made: timeAt(body, 24) }
  if (kind === undefined || !namePattern.test(node) || Object.values(sent).includes(NaN)) return 'malformed'
  if (sent.made > limits.now + limits.ahead) return 'future'
  if (kind === 'hello') return { kind, ...sent, text: last }
  const by = grantedBy[(body[5] as number) - 1]
  const until = timeAt(body, 32)
  const source = sourceIn(body)
  if (by === undefined || source === undefined || Number.isNaN(until) || !namePattern.test(last)) return 'malformed'
  if (until - sent.made > limits.longestWindow) return 'overlong'
  return { kind, ...sent, by, service: last, source, until }
}

/** Of nodes, groups and services. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

/** Three texts, and nothing behind them. */
function textsIn(bytes: Buffer): [string, string, string] | undefined {
  const found: string[] = []
  let at = 0
  for (let i = 0; i < 3; i++) {
    if (at + 2 > bytes.length) return undefined
    const end = at + 2 + bytes.readUInt16BE(at)
    if (end > bytes.length) return undefined
    found.push(bytes.toString('utf8', at + 2, end))
    at = end
  }
  return at === bytes.length ? (found as [string, string, string]) : undefined
}

/** NaN for what no clock shows. */
function timeAt(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64BE(at)
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : NaN
}

/** The address or prefix; undefined where none can be granted access. */
function sourceIn(body: Buffer): string | undefined {
  const version = body[6]
  const length = body[7] as number
  if (version !== 4 && version !== 6) return undefined
  if (version === 4 && body.subarray(12, 24).some(byte => byte !== 0)) return undefined
  const address = addressFromBytes(body, 8, version satisfies IpFamily)
  // On another link, and so on another server, it is another machine.
  if (isLinkLocal(address)) return undefined
  const written = length === bitsOf(version) ? address : `${address}/${length}`
  try {
    return parseGranted(written).source
  } catch (error) {
    if (error instanceof ValueError) return undefined
    throw error
  }
}
