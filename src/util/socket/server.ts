/** Serves a Unix socket: a request is a line of JSON, and so is its answer; then the connection ends. */
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as path from 'node:path'
import { execute } from '../run-program.js'
import type { Answer } from './answer.js'

/** The length of a request. */
const maxRequestBytes = 4096

/** At a time; more are refused. */
const maxConnections = 64

type SocketProblem =
  /** Another process serves the socket. */
  | 'in-use'
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

export interface Listener {
  /** Ends every connection, and the socket. */
  close(): Promise<void>
}

/** Listens at a path, for root and the process's own user, and for `group` if there is one. Throws a SocketError. */
export async function listen(
  socket: { path: string; group: string | null },
  handle: (message: unknown) => Promise<Answer>,
): Promise<Listener> {
  const group = socket.group === null ? null : await groupId(socket.group)
  await removeStale(socket.path)
  const connections = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, connection => {
    connections.add(connection)
    connection.on('close', () => connections.delete(connection))
    serve(connection, handle)
  })
  server.maxConnections = maxConnections
  // The mode must be right from the first moment on.
  const umask = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(socket.path, resolve)
    })
  } finally {
    process.umask(umask)
  }
  try {
    if (group !== null) giveTo(group, socket)
  } catch (error) {
    server.close()
    throw error
  }
  return {
    close: () =>
      new Promise(resolve => {
        server.close(() => {
          resolve()
        })
        for (const connection of connections) connection.destroy()
      }),
  }
}

function giveTo(group: number, socket: { path: string; group: string | null }): void {
  try {
    fs.chownSync(socket.path, -1, group)
    fs.chmodSync(socket.path, 0o660)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EPERM') throw cause
    throw new SocketError('not-in-group', `no right to give ${socket.path} to the group ${socket.group}`)
  }
}

/** Removes a socket that no process serves any more. */
async function removeStale(socketPath: string): Promise<void> {
  fs.mkdirSync(path.dirname(socketPath), { recursive: true, mode: 0o755 })
  const there = fs.lstatSync(socketPath, { throwIfNoEntry: false })
  if (!there) return
  if (!there.isSocket()) throw new SocketError('not-a-socket', `${socketPath} is not a socket`)
  if (await isAnswering(socketPath)) throw new SocketError('in-use', `another process serves ${socketPath}`)
  fs.rmSync(socketPath, { force: true })
}

/** For the request, and for reading the answer. */
const timeoutMilliseconds = 5_000

function serve(connection: net.Socket, handle: (message: unknown) => Promise<Answer>): void {
  let text = ''
  const endSoon = () => setTimeout(() => connection.destroy(), timeoutMilliseconds)
  let deadline = endSoon()
  connection.setEncoding('utf8')
  connection.on('error', () => connection.destroy())
  connection.on('close', () => {
    clearTimeout(deadline)
  })
  connection.on('data', (chunk: string) => {
    text += chunk
    if (text.length > maxRequestBytes) connection.destroy()
  })
  connection.on('end', () => {
    clearTimeout(deadline)
    void answer(text, handle).then(reply => {
      if (connection.destroyed) return
      deadline = endSoon()
      connection.end(`${JSON.stringify(reply)}\n`)
    })
  })
}

async function answer(text: string, handle: (message: unknown) => Promise<Answer>): Promise<Answer> {
  try {
    return await handle(JSON.parse(text))
  } catch (error) {
    return { ok: false, problems: [{ message: (error as Error).message }] }
  }
}

async function isAnswering(socketPath: string): Promise<boolean> {
  return new Promise(resolve => {
    const connection = net.connect(socketPath)
    connection.on('connect', () => {
      connection.destroy()
      resolve(true)
    })
    connection.on('error', () => {
      resolve(false)
    })
  })
}

async function groupId(name: string): Promise<number> {
  const { status, stdout } = await execute('getent', ['group', name])
  const id = Number(stdout.split(':')[2])
  if (status !== 0 || !Number.isInteger(id)) throw new SocketError('no-such-group', `there is no group ${name}`)
  return id
}
