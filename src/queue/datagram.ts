/**
 * Datagrams to a Unix socket, which Node cannot send: this is how a service manager is notified (sd_notify(3)).
 * Three calls of the C library, through ffi-rs; no process is started.
 */
import * as fs from 'node:fs'
import ffi from 'ffi-rs'
import { quote } from '../util/index.js'

const { DataType: T, define, open } = ffi

// sys/socket.h
const afUnix = 1
const sockDgram = 2
const sockCloexec = 0o2000000
const msgDontwait = 0x40
const msgNosignal = 0x4000
/** sun_path of sys/un.h. */
const maxPathBytes = 108

type Call = (params: unknown[]) => { value: number; errnoMessage: string }

let functions: Record<'socket' | 'sendto', Call> | undefined

function declared(): Record<'socket' | 'sendto', Call> {
  if (functions) return functions
  // A name of its own: the packet worker opens the same library as `c`, and names are the process's.
  open({ library: 'c-datagram', path: 'libc.so.6' })
  const call = (paramsType: number[]) => ({ library: 'c-datagram', retType: T.I32, paramsType, errno: true })
  functions = define({
    socket: call([T.I32, T.I32, T.I32]),
    sendto: call([T.I32, T.U8Array, T.U64, T.I32, T.U8Array, T.U32]),
  } as never)
  return functions
}

/** A socket's descriptor, which no child process gets. Throws the system's error. */
export function openSocket(domain: number, type: number, protocol: number): number {
  return check('socket', declared().socket([domain, type | sockCloexec, protocol]))
}

/**
 * Sends `text` to the socket at `address`: an absolute path, or a name that begins with @ (an abstract socket). Does not
 * wait: throws when it has no reader, or when its buffer is full.
 */
export function sendToSocket(address: string, text: string): void {
  const { sendto } = declared()
  const where = socketAddress(address)
  const descriptor = openSocket(afUnix, sockDgram, 0)
  try {
    const content = Buffer.from(text)
    check('sendto', sendto([descriptor, content, content.length, msgDontwait | msgNosignal, where, where.length]))
  } finally {
    fs.closeSync(descriptor)
  }
}

function check(name: string, { value, errnoMessage }: ReturnType<Call>): number {
  if (value < 0) throw new Error(`${name}: ${errnoMessage.replace(/ \(os error \d+\)$/, '')}`)
  return value
}

/** sockaddr_un: the family, then a path that ends with a zero, or a name behind a zero. */
export function socketAddress(address: string): Buffer {
  const name = Buffer.from(address.startsWith('@') ? `\0${address.slice(1)}` : `${address}\0`)
  if (!/^[@/]./.test(address) || name.length > maxPathBytes)
    throw new Error(`${quote(address)} cannot be a socket's address`)
  const family = Buffer.alloc(2)
  family.writeUInt16LE(afUnix)
  return Buffer.concat([family, name])
}
