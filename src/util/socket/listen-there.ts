/** Has a server listen at a Unix socket. */
import type * as net from 'node:net'
import type { SocketPlace } from './socket-file.js'
import { giveToGroup, groupId, removeStale } from './socket-file.js'

/** For root and the process's own user, and for `group` if there is one. Throws a SocketError, or the system's error. */
export async function listenThere(server: net.Server, socket: SocketPlace): Promise<void> {
  const group = socket.group === null ? null : await groupId(socket.group)
  await removeStale(socket.path)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // The mode must be right from the first moment on. The file is made in this call: no other one gets this umask.
    const umask = process.umask(0o177)
    try {
      server.listen(socket.path, resolve)
    } finally {
      process.umask(umask)
    }
  })
  try {
    if (group !== null) giveToGroup(group, socket)
  } catch (error) {
    server.close()
    throw error
  }
}
