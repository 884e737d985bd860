/** The C functions that the queue needs, through ffi-rs. CONTRIBUTING.md lists the files that import it. */
import ffi from 'ffi-rs'
import type { JsExternal } from 'ffi-rs'
import { QueueError } from './queue-error.js'

const { arrayConstructor, DataType: T, define, isNullPointer, load, open } = ffi

interface WithErrno<T> {
  readonly value: T
  readonly errnoCode: number
  readonly errnoMessage: string
}

export type NativeHandle = JsExternal

const call = (library: string, retType: number, paramsType: number[]) => ({
  library,
  retType,
  paramsType,
  errno: true as const,
})

function declare() {
  return define({
    nfq_open: call('nfq', T.External, []),
    nfq_close: call('nfq', T.I32, [T.External]),
    nfq_create_queue: call('nfq', T.External, [T.External, T.I32, T.External, T.External]),
    nfq_destroy_queue: call('nfq', T.I32, [T.External]),
    nfq_fd: call('nfq', T.I32, [T.External]),
    nfq_set_mode: call('nfq', T.I32, [T.External, T.I32, T.U32]),
    nfq_set_queue_maxlen: call('nfq', T.I32, [T.External, T.U32]),
    nfq_set_queue_flags: call('nfq', T.I32, [T.External, T.U32, T.U32]),
    poll: call('c', T.I32, [T.U8Array, T.U64, T.I32]),
    pipe2: call('c', T.I32, [T.U8Array, T.I32]),
    fcntl: call('c', T.I32, [T.I32, T.I32, T.I32]),
    setsockopt: call('c', T.I32, [T.I32, T.I32, T.I32, T.U8Array, T.U32]),
  } as never) as unknown as Record<string, (params: unknown[]) => unknown>
}

/** A C function returned an error. */
export class CallError extends Error {
  override readonly name = 'CallError'

  constructor(
    readonly operation: string,
    readonly errno: number,
    text: string,
  ) {
    super(`${operation}: ${text}`)
  }
}

export interface Libraries {
  /** Calls a function that returns an int, and throws a CallError when that is negative. */
  int(name: string, ...params: unknown[]): number
  /** Calls a function that returns a pointer, and throws a CallError when that is NULL. */
  pointer(name: string, ...params: unknown[]): NativeHandle
  /** Has the kernel deliver to a socket only what this program of classic BPF lets through. Throws a CallError. */
  attachFilter(descriptor: number, program: Buffer): void
  readonly null: NativeHandle
}

// asm-generic/socket.h, linux/filter.h
const solSocket = 1
const soAttachFilter = 26
const instructionBytes = 8
const sockFprogBytes = 16

const timexBytes = 256
/** What adjtimex(2) returns while the clock is not synchronised. */
const timeError = 5

/** Whether the kernel's clock is synchronised; undefined when the kernel does not say. Changes nothing. */
export function isClockSynchronised(): boolean | undefined {
  try {
    open({ library: 'c', path: 'libc.so.6' })
    const state = load({
      library: 'c',
      funcName: 'adjtimex',
      retType: T.I32,
      paramsType: [T.U8Array],
      // All zeros: asks, and sets nothing.
      paramsValue: [Buffer.alloc(timexBytes)],
    })
    return state < 0 ? undefined : state !== timeError
  } catch {
    return undefined
  }
}

/**
 * Ends the process at once, where `process.exit` would wait for a thread that does not come back from the kernel. Returns if it
 * cannot.
 */
export function endProcess(status: number): void {
  try {
    open({ library: 'c', path: 'libc.so.6' })
    load({ library: 'c', funcName: '_exit', retType: T.Void, paramsType: [T.I32], paramsValue: [status] })
  } catch {
    // Then the exit waits.
  }
}

export function openLibraries(): Libraries {
  try {
    open({ library: 'c', path: 'libc.so.6' })
    open({ library: 'nfq', path: 'libnetfilter_queue.so.1' })
  } catch (cause) {
    const hint = 'install the package libnetfilter-queue1 (Debian, Ubuntu) or libnetfilter_queue (Fedora)'
    throw new QueueError('the library libnetfilter_queue.so.1 cannot be loaded', hint, { cause })
  }
  const functions = declare()

  function invoke<T>(name: string, params: unknown[]): WithErrno<T> {
    const fn = functions[name]
    if (!fn) throw new Error(`${name} is not declared`)
    return fn(params) as WithErrno<T>
  }

  const failure = (name: string, result: WithErrno<unknown>) =>
    new CallError(name, result.errnoCode, result.errnoMessage.replace(/ \(os error \d+\)$/, ''))

  return {
    int(name, ...params) {
      const result = invoke<number>(name, params)
      if (result.value < 0) throw failure(name, result)
      return result.value
    },
    pointer(name, ...params) {
      const result = invoke<NativeHandle>(name, params)
      if (isNullPointer(result.value)) throw failure(name, result)
      return result.value
    },
    attachFilter(descriptor, program) {
      // struct sock_fprog: how many instructions, and where they are.
      const bytes = arrayConstructor({ type: T.U8Array, length: program.length, dynamicArray: true })
      const result = load({
        library: 'c',
        funcName: 'setsockopt',
        retType: T.I32,
        paramsType: [T.I32, T.I32, T.I32, { count: T.I32, instructions: bytes }, T.U32],
        paramsValue: [
          ...[descriptor, solSocket, soAttachFilter],
          { count: program.length / instructionBytes, instructions: program },
          sockFprogBytes,
        ],
        errno: true,
      }) as WithErrno<number>
      if (result.value < 0) throw failure('setsockopt', result)
    },
    // ffi-rs has no literal for it; asking for a variable that cannot exist returns one.
    null: load({
      library: 'c',
      funcName: 'getenv',
      retType: T.External,
      paramsType: [T.String],
      paramsValue: ['=no such variable='],
    }),
  }
}
