/**
 * The user at the other end of a connected Unix socket: SO_PEERCRED of unix(7), which the kernel notes at connect(2), and which
 * no program can lie about. Node has no call for it, so this is getsockopt of the C library, through ffi-rs.
 */
import type * as net from 'node:net'
import ffi from 'ffi-rs'

const { DataType: T, define, open } = ffi

// sys/socket.h; struct ucred is three 32-bit numbers: pid, uid, gid.
const solSocket = 1
const soPeercred = 17
const credentialBytes = 12
const uidAt = 4

type Getsockopt = (params: unknown[]) => number

let getsockopt: Getsockopt | undefined

function declared(): Getsockopt {
  if (getsockopt) return getsockopt
  open({ library: 'c-peer', path: 'libc.so.6' })
  const functions = define({
    getsockopt: { library: 'c-peer', retType: T.I32, paramsType: [T.I32, T.I32, T.I32, T.U8Array, T.U8Array] },
  } as never) as unknown as { readonly getsockopt: Getsockopt }
  getsockopt = functions.getsockopt
  return getsockopt
}

/** Undefined where the connection has ended, or cannot be asked. */
export function peerUser(connection: net.Socket): number | undefined {
  // Node has no public name for it.
  const { _handle: handle } = connection as unknown as { readonly _handle: { readonly fd: number } | null }
  if (!handle || handle.fd < 0) return undefined
  const credentials = Buffer.alloc(credentialBytes)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(credentialBytes)
  try {
    if (declared()([handle.fd, solSocket, soPeercred, credentials, length]) !== 0) return undefined
  } catch {
    return undefined
  }
  return credentials.readUInt32LE(uidAt)
}
