/** The file of a Unix socket: a stale one is removed, and a new one is given to a group. */
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as path from 'node:path'
import { removeFile } from '../atomic-file.js'
import { execute } from '../child-process.js'
import { inDirectory, O_PATH } from '../in-directory.js'
import { makeOwnedDirectory } from '../owned-file.js'

type SocketProblem =
  /** Another process serves the socket. */
  | 'in-use'
  /** The process has no right to use the socket that is there. */
  | 'no-right'
  /** The path is a file or directory, which is not removed. */
  | 'not-a-socket'
  | 'no-such-group'
  /** Only root can give a file to a group of which the process is no member. */
  | 'not-in-group'

export class SocketError extends Error {
  override readonly name = 'SocketError'

  constructor(
    readonly problem: SocketProblem,
    message: string,
  ) {
    super(message)
  }
}

/** Where the socket is, and whose. */
export interface SocketPlace {
  readonly path: string
  /** null: for root and the process's own user alone. */
  readonly group: string | null
}

/** Lets a group use the socket. Throws a SocketError when the process has no right to. */
export function giveToGroup(group: number, socket: SocketPlace): void {
  // Where another user can write, the path may be that of another file by now: what is changed is what was opened.
  const descriptor = inDirectory(socket.path, there => fs.openSync(there, O_PATH | fs.constants.O_NOFOLLOW))
  const opened = `/proc/self/fd/${descriptor}`
  try {
    const there = fs.fstatSync(descriptor)
    if (!there.isSocket() || there.uid !== process.geteuid?.() || there.nlink > 1)
      throw new SocketError('not-a-socket', `${socket.path} is not the socket that was made there`)
    fs.chownSync(opened, -1, group)
    fs.chmodSync(opened, 0o660)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EPERM') throw cause
    throw new SocketError('not-in-group', `no right to give ${socket.path} to the group ${socket.group}`)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Removes a socket that no process serves any more. */
export async function removeStale(socketPath: string): Promise<void> {
  makeOwnedDirectory(path.dirname(socketPath), 0o755)
  const there = fs.lstatSync(socketPath, { throwIfNoEntry: false })
  if (!there) return
  if (!there.isSocket()) throw new SocketError('not-a-socket', `${socketPath} is not a socket`)
  await refuseServed(socketPath)
  removeFile(socketPath)
}

/** What the system says where no process serves a socket. After another error, such as EAGAIN of a full queue, one may. */
const unserved = ['ECONNREFUSED', 'ENOENT', 'ENOTDIR']

/** Throws a SocketError where a process serves the socket, or may do so. */
export async function refuseServed(socketPath: string): Promise<void> {
  const found = await connectTo(socketPath)
  if (unserved.includes(found)) return
  if (found === 'EACCES' || found === 'EPERM') throw new SocketError('no-right', `no right to use ${socketPath}`)
  throw new SocketError('in-use', `another process serves ${socketPath}`)
}

/** Whether a process serves the socket, or may do so. */
export const isAnswering = async (socketPath: string): Promise<boolean> =>
  !unserved.includes(await connectTo(socketPath))

/** The code of the error; empty where a process answers. */
function connectTo(socketPath: string): Promise<string> {
  return new Promise(resolve => {
    const connection = net.connect(socketPath)
    connection.on('connect', () => {
      connection.destroy()
      resolve('')
    })
    connection.on('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? 'unknown')
    })
  })
}

/** The number of a group. Throws a SocketError when there is none of that name. */
export async function groupId(name: string): Promise<number> {
  const { status, stdout } = await execute('getent', ['group', name])
  const id = Number(stdout.split(':')[2])
  if (status !== 0 || !Number.isInteger(id)) throw new SocketError('no-such-group', `there is no group ${name}`)
  return id
}
