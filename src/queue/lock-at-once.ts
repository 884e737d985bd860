/**
 * flock(2), without a process for it: a daemon is large, so that the system takes some milliseconds to start a program from it,
 * and it locks the ruleset often. Node has no call for it, so this is the C library's, through ffi-rs.
 */
import ffi from 'ffi-rs'

const { DataType: T, define, open } = ffi

// sys/file.h
const lockExclusive = 2
const lockNonBlocking = 4

type Flock = (params: [descriptor: number, operation: number]) => number

let flock: Flock | undefined

function declared(): Flock {
  if (flock) return flock
  open({ library: 'c-flock', path: 'libc.so.6' })
  const functions = define({
    flock: { library: 'c-flock', retType: T.I32, paramsType: [T.I32, T.I32] },
  } as never) as unknown as { readonly flock: Flock }
  flock = functions.flock
  return flock
}

/** Locks an open file exclusively; false when another one has the lock, or the system refuses it for another reason. */
export function lockAtOnce(descriptor: number): boolean {
  try {
    return declared()([descriptor, lockExclusive | lockNonBlocking]) === 0
  } catch {
    return false
  }
}
