/** A program that reads the lines of the log, such as logger(1). It never keeps the daemon waiting. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { Writable } from 'node:stream'
import { count, killGroup } from '../util/index.js'
import { Complaint } from './log-complaint.js'
import { LogPipe } from './log-pipe.js'
import type { LogSink } from './log-sinks.js'

type Done = (error?: Error | null) => void

/** A program that ends at once is not started more often than this. */
const restartMilliseconds = 1000
/** How long a program may take none of the lines that wait for it. */
const readMilliseconds = 10_000
/** How long a program may take to end. */
const endMilliseconds = 1000

/** It is started again when it ends, and when it was killed because it did not read. */
export class LogProgram extends Writable implements LogSink {
  #child: ChildProcess | undefined
  #startedAt = -Infinity
  readonly #complaint = new Complaint()
  readonly #pipe: LogPipe

  /** Runs while lines wait for the program. */
  #deadline: NodeJS.Timeout | undefined

  /** `asWarning`: as for `LogPipe`. */
  constructor(
    readonly argv: readonly string[],
    readonly readWithinMilliseconds = readMilliseconds,
    asWarning?: (line: string) => string,
  ) {
    super({ decodeStrings: false })
    this.#pipe = new LogPipe(asWarning)
    this.#start()
  }

  get lostLines(): number {
    return this.#pipe.lostLines
  }

  override _write(line: string, _: string, done: Done): void {
    if (!this.#child && performance.now() - this.#startedAt > restartMilliseconds) this.#start()
    const stdin = this.#child?.stdin
    if (stdin) {
      this.#pipe.write(stdin, line)
      if (stdin.writableLength > 0) this.#expectRead()
    } else this.#pipe.lose(1)
    done()
  }

  /** Kills a program that takes none of the lines that wait. */
  #expectRead(): void {
    const [child, { taken }] = [this.#child, this.#pipe]
    this.#deadline ??= setTimeout(() => {
      this.#deadline = undefined
      if (!child || this.#child !== child || child.stdin?.writableLength === 0) return
      if (this.#pipe.taken > taken) {
        this.#expectRead()
        return
      }
      killGroup(child)
      const seconds = this.readWithinMilliseconds / 1000
      this.#lost(child, `it did not read for ${seconds} s and was killed`)
    }, this.readWithinMilliseconds).unref()
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
    child.on('error', error => {
      this.#lost(child, error.message)
    })
    child.on('exit', (status, signal) => {
      this.#lost(child, signal ?? `exit status ${status}`)
    })
    // Without free file descriptors there is no pipe, whatever the types say.
    const pipes: Partial<Pick<typeof child, 'stdin'>> = child
    pipes.stdin?.on('error', error => {
      // It may live on without its input; one that has ended says why by its exit status.
      setTimeout(() => {
        if (this.#child !== child || this.writableEnded) return
        killGroup(child)
        this.#lost(child, `it takes no lines any more and was killed: ${error.message}`)
      }, endMilliseconds).unref()
    })
  }

  #lost(child: ChildProcess, reason: string): void {
    if (this.#child !== child || this.writableEnded) return
    this.#child = undefined
    clearTimeout(this.#deadline)
    this.#deadline = undefined
    this.#pipe.abandon()
    const { lostLines } = this.#pipe
    const lines = lostLines > 0 ? `; ${count(lostLines, 'line')} lost so far` : ''
    this.#complaint.say(`the log cannot be written by ${this.argv[0]}, and it is started again: ${reason}${lines}`)
  }
}
