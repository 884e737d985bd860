/** Serves a Unix socket: a request is a line of JSON, and so is its answer; then the connection ends. */
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as path from 'node:path'
import { execute } from '../run-program.js'
import type { Answer } from './answer.js'
import { staysOpen } from './answer.js'

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
  /** Ends the socket, and every connection, with `refusal` for those that wait for an answer. */
  close(refusal: string): Promise<void>
}

/** Answers one request. `left` is aborted when its asker does not wait for the answer any more. */
type Handle = (message: unknown, left: AbortSignal) => Promise<Answer>

/** For answers that are not read when the socket closes. */
const closeMilliseconds = 500

/** Listens at a path, for root and the process's own user, and for `group` if there is one. Throws a SocketError. */
export async function listen(socket: { path: string; group: string | null }, handle: Handle): Promise<Listener> {
  const group = socket.group === null ? null : await groupId(socket.group)
  await removeStale(socket.path)
  const connections = new Map<net.Socket, (reply: Answer) => void>()
  const server = net.createServer({ allowHalfOpen: true }, connection => {
    connection.on('close', () => connections.delete(connection))
    connections.set(connection, serve(connection, handle))
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

function giveTo(group: number, socket: { path: string; group: string | null }): void {
  // Where another user can write, the path may be that of another file by now: what is changed is what was opened.
  const descriptor = fs.openSync(socket.path, O_PATH | fs.constants.O_NOFOLLOW)
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

/** open(2): only names the file. Node has no constant for it. */
const O_PATH = 0o10_000_000

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

/** Answers one request. The result refuses it when it is not answered yet. */
function serve(connection: net.Socket, handle: Handle): (reply: Answer) => void {
  let text = ''
  let isAsked = false
  let stays = false
  const left = new AbortController()
  const endSoon = () => setTimeout(() => connection.destroy(), timeoutMilliseconds)
  let deadline = endSoon()
  const reply = (answer: Answer) => {
    if (connection.destroyed || connection.writableEnded) return
    clearTimeout(deadline)
    deadline = endSoon()
    connection.end(`${JSON.stringify(answer)}\n`)
  }
  const take = (isWhole: boolean) => {
    const { message, problem } = parse(text)
    if (problem && !isWhole) return
    isAsked = true
    clearTimeout(deadline)
    if (problem) {
      reply(problem)
      return
    }
    stays = takeStaysOpen(message)
    void answerTo(message, handle, left.signal).then(reply)
  }
  connection.setEncoding('utf8')
  connection.on('error', () => connection.destroy())
  connection.on('close', () => {
    clearTimeout(deadline)
    left.abort()
  })
  connection.on('data', (chunk: string) => {
    text += chunk
    if (text.length > maxRequestBytes) connection.destroy()
    // Earlier releases, and scripts, end their side after the request.
    else if (!isAsked && chunk.includes('\n')) take(false)
  })
  connection.on('end', () => {
    if (!isAsked) take(true)
    else if (stays) connection.destroy()
  })
  return reply
}

function parse(text: string): { message?: unknown; problem?: Answer } {
  try {
    return { message: JSON.parse(text) }
  } catch {
    // The message of the parser would quote the text.
    return { problem: failure(new Error('the request is not JSON')) }
  }
}

/** Whether the asker keeps its side open. The field is none of the request's own. */
function takeStaysOpen(message: unknown): boolean {
  if (typeof message !== 'object' || message === null || !Object.hasOwn(message, staysOpen)) return false
  Reflect.deleteProperty(message, staysOpen)
  return true
}

async function answerTo(message: unknown, handle: Handle, left: AbortSignal): Promise<Answer> {
  try {
    return await handle(message, left)
  } catch (error) {
    return failure(error)
  }
}

const failure = (error: unknown): Answer => ({ ok: false, problems: [{ message: (error as Error).message }] })

/** Whether a process serves the socket. */
export async function isAnswering(socketPath: string): Promise<boolean> {
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
