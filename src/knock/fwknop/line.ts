/**
 * What fwknop's packet says, inside of its container: a line of fields with colons between them.
 *
 * | field          | text                                                              | in the types |
 * | -------------- | ----------------------------------------------------------------- | ------------ |
 * | random value   | 16 digits                                                         | all          |
 * | user           | base64 without `=`                                                | all          |
 * | time           | Unix seconds                                                      | all          |
 * | version        | of the protocol; nothing depends on it                            | all          |
 * | type           | 0: command, 1: access, 2: NAT, 5: local NAT, 3, 4, 6: with a time | all          |
 * | message        | base64 without `=`                                                | all          |
 * | NAT            | base64 without `=`                                                | 2, 4, 5, 6   |
 * | authentication | base64 without `=`; can be left out, and nothing depends on it    | all          |
 * | client timeout | seconds                                                           | 3, 4, 6      |
 * | digest         | base64 without `=`, of all before the last colon                  | all          |
 *
 * The message of types 1 and 3 is an IPv4 address, or 0.0.0.0 for the packet's source, and a list such as
 * `tcp/22,udp/1194`, all with commas between them.
 */
import * as crypto from 'node:crypto'
import type { AskedPort } from '../format.js'
import type { HmacName } from './container.js'
import { decodeBase64, withoutEqualsSigns } from './container.js'

/** The length of a digest tells its name, or two. */
const digestsByLength: Readonly<Record<number, readonly HmacName[]>> = {
  22: ['md5'],
  27: ['sha1'],
  43: ['sha256', 'sha3-256'],
  64: ['sha384'],
  86: ['sha512', 'sha3-512'],
}

const version = '3.0.0'
const mostSeconds = 65_536
const sourceItself = '0.0.0.0'
/** What is left of the 271 bytes that fwknop can put into a packet is the digest's and its colon's. */
const maxUserLength = 64
const maxMessageLength = 256

interface Access {
  /** Undefined for the packet's source. */
  readonly address: string | undefined
  /** At least one. */
  readonly ports: readonly AskedPort[]
}

export interface SpaLine {
  /** Unix seconds. */
  readonly time: number
  /** What the sender says to be called; undefined where that is no name. */
  readonly user: string | undefined
  /** Undefined where it cannot be read. */
  readonly asks: Access | 'command' | 'nat' | undefined
  /** The client's timeout; undefined for none. */
  readonly seconds: number | undefined
}

/** Undefined for what no sender with the right key makes. */
export function parseLine(content: Buffer): SpaLine | undefined {
  const whole = content.toString('latin1')
  if (!/^[\x20-\x7e]+$/.test(whole)) return undefined
  const end = whole.lastIndexOf(':')
  const line = whole.slice(0, Math.max(end, 0))
  if (!isDigestOf(line, whole.slice(end + 1))) return undefined
  const [random = '', user = '', time = '', itsVersion = '', type = '', message = '', ...more] = line.split(':')
  if (!/^\d{16}$/.test(random) || !/^\d{1,16}$/.test(time) || !/^[\d.]{1,8}$/.test(itsVersion)) return undefined
  if (!Number.isSafeInteger(Number(time)) || !/^[0-6]$/.test(type)) return undefined
  const rest = readRest(Number(type), more)
  return {
    time: Number(time),
    user: readUser(user),
    asks: rest && readMessage(Number(type), message),
    seconds: rest?.seconds === 0 ? undefined : rest?.seconds,
  }
}

function isDigestOf(line: string, given: string): boolean {
  const names = digestsByLength[given.length] ?? []
  return names.some(name => digestOf(line, name) === given)
}

const digestOf = (line: string, name: string): string =>
  withoutEqualsSigns(crypto.createHash(name).update(line, 'latin1').digest('base64'))

const hasNat = (type: number) => [2, 4, 5, 6].includes(type)
const hasTimeout = (type: number) => [3, 4, 6].includes(type)

/** The fields behind the message. */
function readRest(type: number, fields: readonly string[]): { readonly seconds: number | undefined } | undefined {
  const needed = (hasNat(type) ? 1 : 0) + (hasTimeout(type) ? 1 : 0)
  if (fields.length < needed || fields.length > needed + 1) return undefined
  if (!hasTimeout(type)) return { seconds: undefined }
  const text = fields.at(-1) ?? ''
  return /^\d{1,5}$/.test(text) && Number(text) <= mostSeconds ? { seconds: Number(text) } : undefined
}

/** `"`, `/` and others would mean something to a shell, or to fwknop's own files. */
function readUser(field: string): string | undefined {
  const text = decodeBase64(field)?.toString('latin1') ?? ''
  return isUserName(text) ? text : undefined
}

/** Whether fwknop's clients can send it as the name of their user. */
export const isUserName = (text: string): boolean =>
  text.length <= maxUserLength && /^[\x20-\x7e]+$/.test(text) && !/["/\\[\]:;|=,+*?<>]/.test(text)

function readMessage(type: number, field: string): SpaLine['asks'] {
  if (type === 0) return 'command'
  if (hasNat(type)) return 'nat'
  const text = decodeBase64(field)?.toString('latin1') ?? ''
  if (text.length > maxMessageLength) return undefined
  const [address = '', ...items] = text.split(',')
  const ports = items.flatMap(item => readPort(item) ?? [])
  if (!isAddress(address) || items.length === 0 || ports.length < items.length) return undefined
  return { address: address === sourceItself ? undefined : address, ports }
}

/** Without leading zeros, which fwknop takes for octal numbers, and others for decimal ones. */
const isAddress = (text: string) =>
  /^(\d{1,3}\.){3}\d{1,3}$/.test(text) && text.split('.').every(part => String(Number(part)) === part && +part <= 255)

function readPort(text: string): AskedPort | undefined {
  const [, protocol, digits] = /^(tcp|udp)\/(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  return protocol !== undefined && port >= 1 && port <= 65_535
    ? { protocol: protocol as AskedPort['protocol'], port }
    : undefined
}

interface LineFields {
  readonly random: string
  readonly time: number
  readonly user: string
  readonly ports: readonly AskedPort[]
  readonly address?: string | undefined
  readonly seconds?: number | undefined
  readonly digest?: string | undefined
}

export function makeLine(fields: LineFields): Buffer {
  const { random, time, user, ports, address = sourceItself, seconds, digest = 'sha256' } = fields
  const message = [address, ...ports.map(({ protocol, port }) => `${protocol}/${port}`)].join(',')
  const base64 = (text: string) => withoutEqualsSigns(Buffer.from(text, 'latin1').toString('base64'))
  const line = [random, base64(user), time, version, seconds === undefined ? 1 : 3, base64(message)]
  const text = [...line, ...(seconds === undefined ? [] : [seconds])].join(':')
  return Buffer.from(`${text}:${digestOf(text, digest)}`, 'latin1')
}
