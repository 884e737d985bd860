/**
 * The C functions of the load generators, through ffi-rs: sockets that Node has no name for. A call costs some
 * microseconds, so what must be fast is done with few of them.
 */
import ffi from 'ffi-rs'

const { DataType: T, define, open } = ffi

open({ library: 'c', path: 'libc.so.6' })

const call = (retType: number, paramsType: number[]) => ({ library: 'c', retType, paramsType, errno: true as const })

const functions = define({
  socket: call(T.I32, [T.I32, T.I32, T.I32]),
  bind: call(T.I32, [T.I32, T.U8Array, T.U32]),
  connect: call(T.I32, [T.I32, T.U8Array, T.U32]),
  sendto: call(T.I32, [T.I32, T.U8Array, T.U64, T.I32, T.U8Array, T.U32]),
  close: call(T.I32, [T.I32]),
  setsockopt: call(T.I32, [T.I32, T.I32, T.I32, T.U8Array, T.U32]),
  getsockopt: call(T.I32, [T.I32, T.I32, T.I32, T.U8Array, T.U8Array]),
  sendmmsg: call(T.I32, [T.I32, T.U8Array, T.U32, T.I32]),
  usleep: call(T.I32, [T.U32]),
  if_nametoindex: call(T.I32, [T.String]),
  memcpy: call(T.BigInt, [T.U8Array, T.U8Array, T.U64]),
} as never) as unknown as Record<string, (params: unknown[]) => { value: number | bigint; errnoCode: number }>

/** The result and, where that is negative, errno. */
export function tryCall(name: string, ...params: unknown[]): { readonly value: number; readonly errno: number } {
  const result = functions[name]?.(params)
  if (!result) throw new Error(`${name} is not declared`)
  return { value: Number(result.value), errno: result.errnoCode }
}

/** Like `tryCall`, and a negative result is an error. */
export function mustCall(name: string, ...params: unknown[]): number {
  const { value, errno } = tryCall(name, ...params)
  if (value < 0) throw new Error(`${name}: errno ${errno}`)
  return value
}

/**
 * Where the buffer's bytes are in memory. Whoever passes that on must keep the buffer: nobody else knows that it is in
 * use. (memcpy returns its first argument, which makes it the way to learn an address.)
 */
export function addressOf(buffer: Buffer): bigint {
  return BigInt.asUintN(64, BigInt(functions['memcpy']?.([buffer, buffer, 0]).value ?? 0))
}

export function int32(...values: number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => buffer.writeInt32LE(value, i * 4))
  return buffer
}

export const familyInet = 2
export const familyInet6 = 10
export const familyPacket = 17
export const sockStream = 1
export const sockDgram = 2
export const sockRaw = 3
export const errnoConnectionRefused = 111
export const errnoHostUnreachable = 113
export const errnoInProgress = 115
