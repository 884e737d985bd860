/** Knocks as packets, and a clock that stands still until it is told to move. */
import { createHash } from 'node:crypto'
import type { Clock } from '../../../src/controller/clock.js'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import { encodePkd, parsePkdKey, parseTag, pkd } from '../../../src/knock/pkd.js'
import type { Packet } from '../../../src/queue/packet.js'
import { decode, documentation6, ipv4, ipv6, udp } from '../queue/build-packet.js'

export class TestClock implements Clock {
  /** Unix seconds. */
  wall = 1_700_000_000.4
  steady = 5000.7
  readonly now = () => this.wall
  readonly monotonic = () => this.steady

  pass(seconds: number): void {
    this.wall += seconds
    this.steady += seconds
  }
}

export const start = 1_700_000_000
export const knockPort = 40_000

/** What a credential for PKD knocks is checked against. */
export function pkdSecret(tag: string, key: string): Pick<PacketCredential, 'secret' | 'identity'> {
  const secret = { tag: parseTag(tag), key: parsePkdKey(key) }
  return { secret, identity: pkd.identityOf(secret) }
}

export const laptop: PacketCredential = {
  name: 'laptop',
  type: 'pkd',
  ...pkdSecret('SSHK', 'test'),
  port: null,
  skew: 10,
  rate: null,
  action: 3,
  grants: [],
  onBehalfOf: [],
  revokes: false,
  triggers: false,
  linkLocal: false,
  oncePerGroup: false,
}

export interface KnockParts {
  readonly key?: string
  readonly tag?: string
  /** Where it is sent, and for which port it is hashed. */
  readonly port?: number
  readonly hashedFor?: number
  readonly time?: number
  readonly version?: 4 | 6
  /** The last byte of the source address. */
  readonly source?: number
  /** Knocks of another name differ in their random bytes. */
  readonly name?: string
  /** The bit of the payload to flip. */
  readonly flip?: number
  /** Payload instead of the knock's own. */
  readonly payload?: Buffer
  /** Bytes behind the datagram, inside the packet. */
  readonly trailing?: number
  readonly udpLength?: number
  readonly mark?: number
  readonly id?: number
}

const right = { key: 'test', tag: 'SSHK', port: knockPort, time: start, version: 4, source: 1, name: '' } as const

export function payloadOf(parts: KnockParts = {}): Buffer {
  const { key, tag, port, time, name } = { ...right, ...parts }
  const random = createHash('md5').update(name).digest().subarray(0, 12)
  const payload = encodePkd({ tag: parseTag(tag), time, random }, parts.hashedFor ?? port, parsePkdKey(key))
  if (parts.flip !== undefined)
    payload[parts.flip >> 3] = (payload[parts.flip >> 3] as number) ^ (1 << (parts.flip & 7))
  return payload
}

/** A right knock for `laptop`, unless told otherwise, in the middle of a buffer. */
export function knock(parts: KnockParts = {}): Packet {
  const { port, version, source } = { ...right, ...parts }
  const payload = parts.payload ?? payloadOf(parts)
  const length = parts.udpLength === undefined ? {} : { length: parts.udpLength }
  const datagram = Buffer.concat([udp({ port, payload, ...length }), Buffer.alloc(parts.trailing ?? 0, 0x77)])
  const source6 = Buffer.concat([documentation6.subarray(0, 15), Buffer.from([source])])
  const ip = version === 4 ? ipv4(datagram, { source: [192, 0, 2, source] }) : ipv6(datagram, { source: source6 })
  const packet = decode(ip)
  packet.mark = parts.mark ?? 0
  packet.id = parts.id ?? 0
  return packet
}
