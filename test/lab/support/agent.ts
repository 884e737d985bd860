/**
 * Talks to QEMU's guest agent in a machine, by a serial line: commands and files go in without
 * any network, so that no firewall can come between. One JSON object a line, answers in the order of the questions.
 */
import type * as net from 'node:net'
import type { Result } from '../../support/commands.js'
import { sleep, until } from '../../support/commands.js'

type Answer = Record<string, unknown>

interface Question {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
}

/** What the agent takes in one piece. */
const pieceBytes = 1024 * 1024

export class Agent {
  readonly #asked = new Map<number, Question>()
  #socket: net.Socket | undefined
  #received = ''
  #last = 0

  /** Waits until the agent answers at the line that is to be had. */
  async ready(line: () => Promise<net.Socket>, seconds: number): Promise<void> {
    const end = Date.now() + seconds * 1000
    await until(async () => (this.#socket ??= await line().catch(() => undefined)) !== undefined, 10_000)
    const socket = this.#socket as unknown as net.Socket
    if (socket.listenerCount('data') === 0) {
      socket.setEncoding('utf8').on('data', (text: string) => this.#read(text))
      socket.on('error', () => undefined)
      socket.on('close', () => this.#abandon('the machine has ended'))
    }
    for (;;) {
      try {
        await this.#ask('guest-ping', {}, 3)
        return
      } catch (error) {
        if (Date.now() > end || socket.destroyed) throw error
      }
    }
  }

  /** Runs a bash script to its end, which comes by force after that many seconds. */
  async run(script: string, seconds: number): Promise<Result> {
    const started = (await this.#ask('guest-exec', {
      path: 'env',
      arg: ['HOME=/root', 'LC_ALL=C.UTF-8', 'timeout', '-k', '2', String(seconds), 'bash', '-c', script],
      'capture-output': true,
    })) as { pid: number }
    const end = Date.now() + (seconds + 10) * 1000
    for (let wait = 10; ; wait = Math.min(100, wait * 2)) {
      const status = (await this.#ask('guest-exec-status', started)) as Answer
      if (status['exited'] === true) {
        const text = (name: string) => Buffer.from((status[name] as string | undefined) ?? '', 'base64').toString()
        return {
          status: (status['exitcode'] as number | undefined) ?? null,
          stdout: text('out-data'),
          stderr: text('err-data'),
        }
      }
      if (Date.now() > end) throw new Error(`did not end in ${seconds} s: ${script}`)
      await sleep(wait)
    }
  }

  async write(file: string, content: Buffer): Promise<void> {
    const handle = await this.#ask('guest-file-open', { path: file, mode: 'w' })
    for (let from = 0; from < content.length; from += pieceBytes) {
      const piece = content.subarray(from, from + pieceBytes).toString('base64')
      await this.#ask('guest-file-write', { handle, 'buf-b64': piece })
    }
    await this.#ask('guest-file-close', { handle })
  }

  /** Forgets what was asked: nobody will answer any more. */
  close(): void {
    this.#socket?.destroy()
    this.#socket = undefined
    this.#abandon('the machine was stopped')
  }

  #abandon(why: string): void {
    for (const { reject } of this.#asked.values()) reject(new Error(why))
    this.#asked.clear()
  }

  #ask(execute: string, argument: Answer, seconds = 30): Promise<unknown> {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#asked.delete(id)
        reject(new Error(`no answer to ${execute} in ${seconds} s`))
      }, seconds * 1000)
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          clearTimeout(late)
          then(value)
        }
      this.#asked.set(id, { resolve: settle(resolve), reject: settle(reject) })
      this.#socket?.write(`${JSON.stringify({ execute, arguments: argument, id })}\n`)
    })
  }

  #read(text: string): void {
    this.#received += text
    const lines = this.#received.split('\n')
    this.#received = lines.pop() ?? ''
    for (const line of lines) {
      // What was being said when the machine was reset is lost.
      const answer = parsed(line)
      // A serial line gives back what is sent to it before the agent has it.
      if (answer['execute'] !== undefined) continue
      const question = this.#asked.get(answer['id'] as number)
      this.#asked.delete(answer['id'] as number)
      if (answer['error'] === undefined) question?.resolve(answer['return'])
      else question?.reject(new Error(String((answer['error'] as Answer)['desc'])))
    }
  }
}

function parsed(line: string): Answer {
  try {
    return JSON.parse(line) as Answer
  } catch {
    return {}
  }
}
