/** Where lines of the log go. None of them waits: a line that cannot be written is lost, with a message on stderr. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { Writable } from 'node:stream'
import { appendNamed, isJournal, killGroup, UserError, withPriority } from '../util/index.js'
import { LineWriter } from './line-writer.js'
import { LogPipe } from './log-pipe.js'

type Done = (error?: Error | null) => void

/** While a sink fails, a message is written this often. */
const complaintMilliseconds = 60_000
/** A program that ends at once is not started more often than this. */
const restartMilliseconds = 1000
/** How long a program may take to end. */
const endMilliseconds = 1000

/** Messages about a sink that fails, on stderr, at a limited rate. */
class Complaint {
  #saidAt = -Infinity

  say(message: string): void {
    if (performance.now() - this.#saidAt < complaintMilliseconds) return
    this.#saidAt = performance.now()
    const line = `pkctld: ${message}\n`
    process.stderr.write(isJournal(process.stderr.fd) ? withPriority('warn', line) : line)
  }
}

/**
 * A file to which lines are appended, also after another program has truncated it. Throws a UserError if it cannot be
 * opened.
 */
export class LogFile extends Writable {
  readonly #descriptor: number
  readonly #complaint = new Complaint()
  readonly #lines: LineWriter

  constructor(readonly file: string) {
    super({ decodeStrings: false })
    try {
      this.#descriptor = appendNamed(file, 0o640)
    } catch (error) {
      throw new UserError(`the log ${file} cannot be opened: ${(error as Error).message}`)
    }
    this.#lines = new LineWriter(this.#descriptor)
  }

  override _write(line: string, _: string, done: Done): void {
    try {
      this.#lines.write(line)
    } catch (error) {
      this.#complaint.say(`the log ${this.file} cannot be written: ${(error as Error).message}`)
    }
    done()
  }

  override _final(done: Done): void {
    fs.closeSync(this.#descriptor)
    done()
  }
}

/** stderr, which this process does not end. */
export class LogStderr extends Writable {
  readonly #pipe = new LogPipe()

  override _write(line: Buffer | string, _: string, done: Done): void {
    this.#pipe.write(process.stderr, line.toString())
    done()
  }
}

/** A program that reads lines. It is started again when it ends. */
export class LogProgram extends Writable {
  #child: ChildProcess | undefined
  #startedAt = -Infinity
  readonly #complaint = new Complaint()
  readonly #pipe = new LogPipe()

  constructor(readonly argv: readonly string[]) {
    super({ decodeStrings: false })
    this.#start()
  }

  override _write(line: string, _: string, done: Done): void {
    if (!this.#child && performance.now() - this.#startedAt > restartMilliseconds) this.#start()
    const stdin = this.#child?.stdin
    if (stdin) this.#pipe.write(stdin, line)
    done()
  }

  /** The program ends when its input does; one that hangs is killed. */
  override _final(done: Done): void {
    const child = this.#child
    if (!child) return done()
    const timer = setTimeout(() => {
      killGroup(child)
    }, endMilliseconds)
    child.once('exit', () => {
      clearTimeout(timer)
      done()
    })
    child.stdin?.end()
  }

  #start(): void {
    const [file, ...args] = this.argv
    this.#startedAt = performance.now()
    const child = spawn(file as string, args, { stdio: ['pipe', 'ignore', 'inherit'], detached: true })
    this.#child = child
    const lost = (reason: string) => {
      if (this.#child !== child || this.writableEnded) return
      this.#child = undefined
      this.#complaint.say(`the log cannot be written by ${file}, and it is started again: ${reason}`)
    }
    child.on('error', error => {
      lost(error.message)
    })
    child.on('exit', (status, signal) => {
      lost(signal ?? `exit status ${status}`)
    })
    // Without free file descriptors there is no pipe, whatever the types say.
    const pipes: Partial<Pick<typeof child, 'stdin'>> = child
    pipes.stdin?.on('error', () => undefined)
  }
}
