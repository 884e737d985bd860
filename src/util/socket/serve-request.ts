/** One connection of a server: reads its request, a line of JSON, and writes the answer. */
import type * as net from 'node:net'
import type { Answer } from './answer.js'
import { staysOpen } from './answer.js'

/** The length of a request, unless the socket takes longer ones. */
const usualRequestBytes = 4096

/** For the request, and for reading the answer. */
const timeoutMilliseconds = 5_000

/** Answers one request. `left` is aborted when its asker does not wait for the answer any more. */
export type MessageHandler = (message: unknown, left: AbortSignal, connection: net.Socket) => Promise<Answer>

/** Answers one request. The result refuses it when it is not answered yet. */
export function serveRequest(
  connection: net.Socket,
  handle: MessageHandler,
  maxBytes = usualRequestBytes,
): (reply: Answer) => void {
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
    void answerTo(() => handle(message, left.signal, connection)).then(reply)
  }
  connection.setEncoding('utf8')
  connection.on('error', () => connection.destroy())
  connection.on('close', () => {
    clearTimeout(deadline)
    left.abort()
  })
  connection.on('data', (chunk: string) => {
    text += chunk
    if (text.length > maxBytes) connection.destroy()
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

async function answerTo(handle: () => Promise<Answer>): Promise<Answer> {
  try {
    return await handle()
  } catch (error) {
    return failure(error)
  }
}

const failure = (error: unknown): Answer => ({ ok: false, problems: [{ message: (error as Error).message }] })
