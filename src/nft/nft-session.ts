/**
 * One nft that stays: `nft -j -i` takes a transaction as a line of JSON, and what it makes belongs to its netlink socket for as
 * long as it runs. A transaction that succeeds says nothing, so each is followed by a question whose answer marks its end.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { killGroup, TimeLimitError } from '../util/index.js'
import type { Command } from './nft-json.js'

export interface NftSession {
  /**
   * Runs one transaction and resolves to what nft complained of, empty when all went well. Rejects with a TimeLimitError when
   * nft does not answer in time, which ends the session, and with an Error when it ends before; then nothing is known of the
   * transaction.
   */
  run(name: string, commands: readonly Command[]): Promise<string>
  /**
   * Sends a transaction but for its end, and returns what sends that and runs it: without the time in which nft reads a long
   * line. Nothing else can be run before. A session that ends first does not run it.
   */
  stage(name: string, commands: readonly Command[]): () => Promise<string>
  /** How much was sent to it. nft remembers every line. */
  readonly bytes: number
  /** Resolves to the reason when it has ended, and what it owned has no owner any more. */
  readonly ended: Promise<string>
  /** Lets it end, and resolves when it has. */
  close(): Promise<void>
}

export type OpenSession = () => NftSession

/** An answer takes some milliseconds, and nft reads a long line byte by byte, on slow machines 50 of them in a millisecond. */
const answerMilliseconds = 10_000
const bytesInMillisecond = 50
/** For one that is told to end. */
const closeMilliseconds = 2000

/** Asks for the tables of a family that pkctl has none of. */
const question = '{"nftables":[{"list":{"tables":{"family":"arp"}}}]}\n'
/** nft's own JSON has blanks, so a line of ours that it quotes in a complaint does not begin so. */
const answer = '{"nftables": [{"metainfo"'

interface WaitingCommands {
  readonly complaint: string[]
  readonly resolve: (complaint: string) => void
  readonly reject: (error: Error) => void
}

/**
 * Starts one. It ends with the process that started it, see `watchRuleset`. As an interactive program it would keep a history
 * of all lines in the home directory: there must be none.
 */
export const openSession: OpenSession = () => {
  // Complaints and answers come in one pipe, and so in their order.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '/bin/sh', '-c', 'exec nft -j -i 2>&1'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, LC_ALL: 'C', HOME: '/dev/null', TERM: 'dumb' },
    // A group of its own: it is killed with what it has started.
    detached: true,
  })
  return new NftProcess(child)
}

class NftProcess implements NftSession {
  readonly ended: Promise<string>
  bytes = 0
  readonly #waiting: WaitingCommands[] = []
  #end: string | undefined
  #last = ''

  constructor(readonly child: ChildProcess) {
    // Without free file descriptors there are no pipes, whatever the types say; the 'error' event follows.
    if (child.stdout) {
      createInterface({ input: child.stdout }).on('line', line => {
        this.#read(line)
      })
    }
    child.stdin?.on('error', () => undefined)
    this.ended = new Promise(resolve => {
      const end = (reason: string) => {
        this.#end ??= reason
        for (const { reject } of this.#waiting.splice(0)) reject(new Error(`the nft session ended: ${this.#end}`))
        resolve(this.#end)
      }
      child.on('error', error => {
        end(error.message)
      })
      child.on('close', (status, signal) => {
        end(this.#last === '' ? (signal ?? `exit status ${status}`) : this.#last)
      })
    })
    // It alone keeps no process running.
    child.unref()
    for (const stream of [child.stdin, child.stdout]) if (stream instanceof Socket) stream.unref()
  }

  run(name: string, commands: readonly Command[]): Promise<string> {
    return this.stage(name, commands)()
  }

  stage(name: string, commands: readonly Command[]): () => Promise<string> {
    const line = JSON.stringify({ nftables: commands })
    this.bytes += line.length + question.length
    // nft runs a line also when its input ends there; one without its end is no JSON.
    this.child.stdin?.write(line.slice(0, -1))
    return () => this.#finish(name, `${line.slice(-1)}\n${question}`, line.length)
  }

  #finish(name: string, rest: string, length: number): Promise<string> {
    if (this.#end !== undefined) return Promise.reject(new Error(`the nft session ended: ${this.#end}`))
    const milliseconds = answerMilliseconds + length / bytesInMillisecond
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        // Whatever waits behind it waits in vain, too.
        this.#end ??= `${name} was not answered`
        reject(new TimeLimitError(name, Math.round(milliseconds / 1000)))
        killGroup(this.child)
      }, milliseconds)
      const settle =
        <T>(how: (value: T) => void) =>
        (value: T) => {
          clearTimeout(late)
          how(value)
        }
      this.#waiting.push({ complaint: [], resolve: settle(resolve), reject: settle(reject) })
      this.child.stdin?.write(rest)
    })
  }

  async close(): Promise<void> {
    this.child.stdin?.end()
    const late = setTimeout(() => {
      killGroup(this.child)
    }, closeMilliseconds)
    await this.ended
    clearTimeout(late)
  }

  #read(line: string): void {
    if (!line.startsWith(answer)) {
      this.#waiting[0]?.complaint.push(line)
      if (line.trim() !== '') this.#last = line.slice(0, 200)
      return
    }
    this.#last = ''
    const first = this.#waiting.shift()
    first?.resolve(first.complaint.join('\n').trim())
  }
}
