/** Has a server listen at a Unix socket. */
import type * as net from 'node:net'
import { openPlace } from '../in-directory.js'
import type { SocketPlace } from './socket-file.js'
import { giveToGroup, groupId, removeStale } from './socket-file.js'

/** For root and the process's own user, and for `group` if there is one. Throws a SocketError, or the system's error. */
export async function listenThere(server: net.Server, socket: SocketPlace): Promise<void> {
  const group = socket.group === null ? null : await groupId(socket.group)
  await removeStale(socket.path)
  // The end of the server removes the file by the name by which it was made.
  const place = openPlace(socket.path)
  server.once('close', place.close)
  try {
    await listenAtName(server, place.isExposed ? place.there : socket.path)
  } catch (error) {
    server.off('close', place.close)
    place.close()
    throw place.named(error)
  }
  try {
    if (group !== null) giveToGroup(group, socket)
  } catch (error) {
    server.close()
    throw error
  }
}

function listenAtName(server: net.Server, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // The mode must be right from the first moment on. The file is made in this call: no other one gets this umask.
    const umask = process.umask(0o177)
    try {
      server.listen(name, resolve)
    } finally {
      process.umask(umask)
    }
  })
}
