/**
 * A client of the benchmarks, run in the client's namespace: knocks and connects, or only connects, with calls that wait,
 * one try after the other, each from its own source. Prints the outcomes as JSON.
 */
import { isIPv6 } from 'node:net'
import { knockHex, knockPort } from '../support/knocks.js'
import { addressBytes } from './addresses.js'
import {
  errnoConnectionRefused,
  errnoHostUnreachable,
  errnoInProgress,
  familyInet,
  familyInet6,
  int32,
  mustCall,
  sockDgram,
  sockStream,
  tryCall,
} from './libc.js'

export interface Try {
  readonly host: string
  readonly source: string
  readonly port: number
  /** Whether to knock before; or the datagrams to send, in place of a PKD knock. */
  readonly knock: boolean | readonly { readonly port: number; readonly hex: string }[]
  /** The port refuses connections until it is open: connect again and again, for as long as the plan's patience. */
  readonly untilOpen?: boolean
}

export interface Plan {
  readonly tries: readonly Try[]
  /** Milliseconds before the first, and from the start of one to that of the next. */
  readonly delay: number
  readonly every: number
  /** Milliseconds that a connection may take. */
  readonly patience: number
}

export interface TryResult {
  readonly open: boolean
  /** From before the knock until the connection stood. */
  readonly milliseconds: number
  /** SYNs sent more than once. */
  readonly repeated: number
}

function socketAddress(host: string, port: number): Buffer {
  const bytes = addressBytes(host)
  const v6 = bytes.length === 16
  const address = Buffer.alloc(v6 ? 28 : 16)
  address.writeUInt16LE(v6 ? familyInet6 : familyInet, 0)
  address.writeUInt16BE(port, 2)
  bytes.copy(address, v6 ? 8 : 4)
  return address
}

// asm-generic/socket.h, linux/in.h, linux/in6.h, linux/tcp.h
const solSocket = 1
const soLinger = 13
const soSndtimeo = 21
const freebind4 = [0, 15] as const
const freebind6 = [41, 78] as const
const solTcp = 6
const tcpInfo = 11
const totalRetransAt = 100
const infoLength = 104

function boundSocket(type: number, source: string): number {
  const v6 = isIPv6(source)
  const descriptor = mustCall('socket', v6 ? familyInet6 : familyInet, type, 0)
  // The prefix is routed to here, but no address of it is anybody's.
  mustCall('setsockopt', descriptor, ...(v6 ? freebind6 : freebind4), int32(1), 4)
  const address = socketAddress(source, 0)
  mustCall('bind', descriptor, address, address.length)
  return descriptor
}

/** A socket for a connection that may take that many milliseconds. */
function connectionSocket(source: string, patience: number): number {
  const connection = boundSocket(sockStream, source)
  const timeout = Buffer.alloc(16)
  timeout.writeBigInt64LE(BigInt(Math.floor(patience / 1000)), 0)
  timeout.writeBigInt64LE(BigInt((patience % 1000) * 1000), 8)
  mustCall('setsockopt', connection, solSocket, soSndtimeo, timeout, 16)
  mustCall('setsockopt', connection, solSocket, soLinger, int32(1, 0), 8)
  return connection
}

function attempt({ host, source, port, knock, untilOpen = false }: Try, patience: number): TryResult {
  let connection = connectionSocket(source, patience)
  const datagrams = knock === true ? [{ port: knockPort, hex: knockHex() }] : knock === false ? [] : knock
  const packets = datagrams.map(({ port, hex }) => ({
    payload: Buffer.from(hex, 'hex'),
    address: socketAddress(host, port),
  }))
  const knocking = packets.length > 0 ? boundSocket(sockDgram, source) : undefined
  const connectTo = socketAddress(host, port)

  const start = process.hrtime.bigint()
  const elapsed = () => Number(process.hrtime.bigint() - start) / 1e6
  for (const { payload, address } of packets) {
    mustCall('sendto', knocking, payload, payload.length, 0, address, address.length)
  }
  let { value, errno } = tryCall('connect', connection, connectTo, connectTo.length)
  while (untilOpen && errno === errnoConnectionRefused && value < 0 && elapsed() < patience) {
    mustCall('close', connection)
    connection = connectionSocket(source, patience)
    ;({ value, errno } = tryCall('connect', connection, connectTo, connectTo.length))
  }
  const milliseconds = elapsed()

  if (value < 0 && ![errnoInProgress, errnoHostUnreachable, errnoConnectionRefused].includes(errno))
    throw new Error(`connect: errno ${errno}`)
  const info = Buffer.alloc(infoLength)
  mustCall('getsockopt', connection, solTcp, tcpInfo, info, int32(infoLength))
  mustCall('close', connection)
  if (knocking !== undefined) mustCall('close', knocking)
  return { open: value === 0, milliseconds, repeated: info.readUInt32LE(totalRetransAt) }
}

const sleepUntil = (time: number) => new Promise(done => setTimeout(done, Math.max(0, time - performance.now())))

if (process.argv[2] !== undefined) {
  const { tries, delay, every, patience } = JSON.parse(process.argv[2]) as Plan
  const start = performance.now() + delay
  const results: TryResult[] = []
  for (const [i, one] of tries.entries()) {
    await sleepUntil(start + i * every)
    results.push(attempt(one, patience))
  }
  process.stdout.write(`${JSON.stringify(results)}\n`)
}
