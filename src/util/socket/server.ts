/** Serves a Unix socket: a request is a line of JSON, and so is its answer; then the connection ends. */
import * as net from 'node:net'
import type { Answer } from './answer.js'
import { listenThere } from './listen-there.js'
import type { MessageHandler } from './serve-request.js'
import { serveRequest } from './serve-request.js'
import type { SocketPlace } from './socket-file.js'

/** `maxRequestBytes`: the length of a request, when it can be longer than usual. */
interface ServedSocket extends SocketPlace {
  readonly maxRequestBytes?: number
}

/** At a time; more are refused. */
const maxConnections = 64

export interface ListeningSocket {
  /** Ends the socket, and every connection, with `refusal` for those that wait for an answer. */
  close(refusal: string): Promise<void>
}

/** For answers that are not read when the socket closes. */
const closeMilliseconds = 500

/** Listens at a path, for root and the process's own user, and for `group` if there is one. Throws a SocketError. */
export async function listen(socket: ServedSocket, handle: MessageHandler): Promise<ListeningSocket> {
  const connections = new Map<net.Socket, (reply: Answer) => void>()
  const server = net.createServer({ allowHalfOpen: true }, connection => {
    connection.on('close', () => connections.delete(connection))
    connections.set(connection, serveRequest(connection, handle, socket.maxRequestBytes))
  })
  server.maxConnections = maxConnections
  await listenThere(server, socket)
  return {
    close: refusal =>
      new Promise(resolve => {
        server.close(() => {
          resolve()
        })
        for (const [connection, reply] of connections) {
          reply({ ok: false, problems: [{ message: refusal }] })
          // What the kernel takes at once is read by the other side even after this.
          connection.destroySoon()
          setTimeout(() => connection.destroy(), closeMilliseconds).unref()
        }
      }),
  }
}
