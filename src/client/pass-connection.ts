/**
 * Hands an open connection over to the process at the other end of stdout, which has to be a Unix socket: SCM_RIGHTS of
 * unix(7), as ssh expects it with `ProxyUseFdpass`. Node cannot send descriptors to other programs, so this calls sendmsg of
 * the C library through ffi-rs.
 */
import * as fs from 'node:fs'
import type * as net from 'node:net'
import type Ffi from './native-calls.js'
import { reasonOf, usageError, UserError } from '../util/index.js'

const stdout = 1
// sys/socket.h
const solSocket = 1
const scmRights = 1
const msgNosignal = 0x4000

/** Bytes of a pointer, size_t and long: the fields of the structures below. Linux with Node is little-endian here. */
const word = process.arch === 'arm' || process.arch === 'ia32' ? 4 : 8

interface CallResult {
  readonly value: number
  readonly errnoMessage: string
}

/** Sends a descriptor to stdout. */
type DescriptorSender = (descriptor: number) => CallResult

/** For `passConnection`. Rejects with a UserError where it cannot succeed: to be called before anything is knocked. */
export async function descriptorSender(): Promise<DescriptorSender> {
  if (!fs.fstatSync(stdout).isSocket()) {
    throw usageError(
      'stdout is no socket that a connection can be passed to',
      'in ~/.ssh/config, --fdpass needs ProxyUseFdpass yes beside the ProxyCommand',
    )
  }
  try {
    // The single executable does not have it.
    return senderOf((await import('./native-calls.js')).default)
  } catch (cause) {
    const hint = 'leave out --fdpass and ProxyUseFdpass, or install pkctl from a package'
    throw new UserError(`the library ffi-rs, which passes connections, cannot be loaded: ${reasonOf(cause)}`, hint)
  }
}

/** The connection is the other process's then; closing it here does not end it. Throws a UserError. */
export function passConnection(connection: net.Socket, sender: DescriptorSender): void {
  const { value, errnoMessage } = sender(descriptorOf(connection))
  connection.destroy()
  if (value < 0) {
    const why = errnoMessage.replace(/ \(os error \d+\)$/, '')
    throw new UserError(`the connection cannot be passed to stdout: sendmsg: ${why}`)
  }
}

/** Node has no public name for it. */
function descriptorOf(connection: net.Socket): number {
  const { _handle: handle } = connection as unknown as { readonly _handle: { readonly fd: number } | null }
  if (!handle || handle.fd < 0) throw new UserError('the connection has ended before it could be passed on')
  return handle.fd
}

function senderOf({ DataType: T, define, open }: typeof Ffi): DescriptorSender {
  open({ library: 'c-descriptor', path: 'libc.so.6' })
  const call = (retType: number, paramsType: number[]) => ({
    library: 'c-descriptor',
    retType,
    paramsType,
    errno: true,
  })
  const { memcpy, sendmsg } = define({
    memcpy: call(T.BigInt, [T.U8Array, T.U8Array, T.U64]),
    sendmsg: call(T.I64, [T.I32, T.U8Array, T.I32]),
  } as never) as unknown as {
    readonly memcpy: (params: unknown[]) => { readonly value: bigint }
    readonly sendmsg: (params: unknown[]) => CallResult
  }
  // memcpy returns its first argument: the address of the memory.
  return descriptor =>
    sendmsg([stdout, messageOf(descriptor, memory => memcpy([memory, memory, 0]).value), msgNosignal])
}

/** A msghdr of one byte, because there is no message without, and the descriptor. `addressOf` says where memory is. */
function messageOf(descriptor: number, addressOf: (memory: Buffer) => bigint | number): Buffer {
  // All in one piece of memory, which stays where it is while the call lasts.
  const memory = Buffer.alloc(256)
  const start = Number(BigInt.asUintN(8 * word, BigInt(addressOf(memory))))
  const [message, vector, control, data] = [0, 64, 96, 160] as const
  // No address and no length has more than 48 bits.
  const words = (at: number, ...values: readonly number[]) =>
    values.forEach((value, i) => memory.writeUIntLE(value, at + i * word, Math.min(word, 6)))
  // A cmsghdr: length without padding, level, type; and the descriptor.
  const controlLength = word + 3 * 4
  words(control, controlLength)
  for (const [i, value] of [solSocket, scmRights, descriptor].entries())
    memory.writeInt32LE(value, control + word + i * 4)
  // An iovec: base and length.
  words(vector, start + data, 1)
  // A msghdr: name and its length, vectors and their number, control and its length with padding, flags.
  words(message, 0, 0, start + vector, 1, start + control, Math.ceil(controlLength / word) * word, 0)
  return memory
}
