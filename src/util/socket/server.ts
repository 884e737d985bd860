/** Serves a Unix socket: a request is a line of JSON, and so is its answer; then the connection ends. */
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as path from 'node:path'
import { execute } from '../run-program.js'
import { UserError } from '../user-error.js'
import type { Answer } from './answer.js'

/** No request is longer; what sends more is not pkctl. */
const maxRequestBytes = 4096

/** At a time; more are turned away. */
const maxConnections = 64

export interface Listener {
  /** Ends every connection, and the socket. */
  close(): Promise<void>
}

export async function listen(
  socket: { path: string; group: string | null },
  handle: (message: unknown) => Promise<Answer>,
): Promise<Listener> {
  const group = socket.group === null ? null : await groupId(socket.group)
  await makeWay(socket.path)
  const connections = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, connection => {
    connections.add(connection)
    connection.on('close', () => connections.delete(connection))
    serve(connection, handle)
  })
  server.maxConnections = maxConnections
  // Nobody may connect before the mode is what it should be.
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
    // Who is not root can give a file to groups that he is in, and to no others.
    if ((cause as NodeJS.ErrnoException).code !== 'EPERM') throw cause
    throw new UserError(
      `socket: the daemon is not in the group ${socket.group}, and cannot give it the socket`,
      `systemctl edit pkctld, and there below [Service]: SupplementaryGroups=${socket.group}`,
    )
  }
}

/** Removes a socket that nobody serves any more; whatever else has that name stays. */
async function makeWay(socketPath: string): Promise<void> {
  fs.mkdirSync(path.dirname(socketPath), { recursive: true, mode: 0o755 })
  const there = fs.lstatSync(socketPath, { throwIfNoEntry: false })
  if (!there) return
  if (!there.isSocket())
    throw new UserError(`${socketPath} is no socket, and stays`, 'choose another place with socket: path')
  if (await isAnswering(socketPath)) {
    const hint = 'pkctl status shows it, pkctl reload makes it read its configuration'
    throw new UserError(`pkctld is running already, at ${socketPath}`, hint)
  }
  fs.rmSync(socketPath, { force: true })
}

/** Whoever has not asked by then, or not read the answer that long after it came, is not pkctl. */
const patienceMilliseconds = 5_000

function serve(connection: net.Socket, handle: (message: unknown) => Promise<Answer>): void {
  let text = ''
  const endSoon = () => setTimeout(() => connection.destroy(), patienceMilliseconds)
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
  if (status !== 0 || !Number.isInteger(id))
    throw new UserError(`socket: there is no group ${name}`, `groupadd --system ${name} makes it`)
  return id
}
