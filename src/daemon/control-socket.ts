/** The daemon's sockets: root's, which takes all requests, and the group's, which takes those of `group-may`. */
import * as fs from 'node:fs'
import type * as net from 'node:net'
import type { Config } from '../config/types.js'
import { peerUser } from '../queue/peer-user.js'
import type { Answer, ListeningSocket } from '../util/index.js'
import { listen, refuseServed, removeFile, SocketError, UserError } from '../util/index.js'
import { groupSocketOf } from './control-client.js'
import type { KeptSocket } from './kept-socket.js'
import { keptSocket } from './kept-socket.js'
import type { RequestHandler } from './request-handler.js'
import { isOpenTo, readRequest } from './requests.js'

/** A transaction of a command: a service with 100,000 prefixes has some megabytes. */
const maxTransactionBytes = 64 * 1024 * 1024

type SocketHandle = (message: unknown, left: AbortSignal, connection: net.Socket) => Promise<Answer>

/** The answer to requests that wait when the daemon ends. */
export const stopping = 'pkctld is stopping'

/** Throws a UserError while another daemon serves the socket, or may do so. Changes nothing. */
export async function refuseOtherDaemon(path: string): Promise<void> {
  try {
    await refuseServed(path)
  } catch (error) {
    throw error instanceof SocketError ? explained(error, path, '') : error
  }
}

/** Throws a UserError for what the configuration, or another daemon, makes impossible. */
export async function listenAt(socket: Config['socket'], handle: RequestHandler): Promise<KeptSocket[]> {
  const place = { path: socket.path, group: null, maxRequestBytes: maxTransactionBytes }
  const answer: SocketHandle = (message, left, connection) =>
    handle(readRequest(message), { via: 'root', uid: peerUser(connection) }, left)
  const root = await keptSocket(socket.path, () => listenOrExplain(place, answer))
  try {
    return [root, ...(await listenForGroup(socket, handle))]
  } catch (error) {
    await root.close(stopping)
    throw error
  }
}

async function listenForGroup(
  { path, group, groupMay }: Config['socket'],
  handle: RequestHandler,
): Promise<KeptSocket[]> {
  const groupPath = groupSocketOf(path)
  if (group === null) {
    // A stale socket of an earlier daemon would make a command report that no daemon answers.
    if (fs.lstatSync(groupPath, { throwIfNoEntry: false })?.isSocket()) removeFile(groupPath)
    return []
  }
  const answer: SocketHandle = (message, left, connection) => {
    const request = readRequest(message)
    if (isOpenTo(groupMay, request)) return handle(request, { via: `group ${group}`, uid: peerUser(connection) }, left)
    const hint = 'socket: group-may in the configuration says what it may'
    const what = 'fleet' in request ? `${request.request} --fleet` : request.request
    const problem = { message: `group ${group} may not ask for ${what}`, hint }
    return Promise.resolve({ ok: false, problems: [problem] })
  }
  return [await keptSocket(groupPath, () => listenOrExplain({ path: groupPath, group }, answer))]
}

async function listenOrExplain(
  socket: { readonly path: string; readonly group: string | null; readonly maxRequestBytes?: number },
  handle: SocketHandle,
): Promise<ListeningSocket> {
  try {
    return await listen(socket, handle)
  } catch (error) {
    throw error instanceof SocketError ? explained(error, socket.path, socket.group ?? '') : error
  }
}

function explained({ problem }: SocketError, path: string, group: string): UserError {
  switch (problem) {
    case 'in-use':
      return new UserError(
        `pkctld is running already, at ${path}`,
        'pkctl status shows it, pkctl reload makes it read its configuration',
      )
    case 'no-right':
      return new UserError(
        `pkctld has no right to use the socket ${path} that is there, and cannot see whether another daemon serves it`,
        `ls -l ${path} shows whose it is: run pkctld as that user or as root, or remove the socket if no daemon runs`,
      )
    case 'not-a-socket':
      return new UserError(
        `${path} is not a socket, and pkctld does not replace it`,
        'choose another path with socket: path',
      )
    case 'no-such-group':
      return new UserError(`socket: there is no group ${group}`, `groupadd --system ${group} makes it`)
    case 'not-in-group':
      return new UserError(
        `socket: the daemon is not in the group ${group}, and cannot give it the socket`,
        `systemctl edit pkctld, and there below [Service]: SupplementaryGroups=${group}`,
      )
  }
}
