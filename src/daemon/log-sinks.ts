/** Where lines of the log go. None of them waits: a line that cannot be written is lost, with a message on stderr. */
import * as fs from 'node:fs'
import { Writable } from 'node:stream'
import { appendNamed, UserError } from '../util/index.js'
import { Complaint, stderrWarning } from './log-complaint.js'
import { LineWriter } from './line-writer.js'
import { LogPipe } from './log-pipe.js'

type Done = (error?: Error | null) => void

/** A sink, and how many lines it has lost. */
export interface LogSink extends Writable {
  readonly lostLines: number
}

/** How often a file is looked for under its name. */
const lookMilliseconds = 1000

/** logrotate makes a new file itself, right after it has renamed the old one, and fails where it finds one. */
const makeNewMilliseconds = 5000

/**
 * A file to which lines are appended, also after another program has truncated it, renamed it, removed it or put another one in
 * its place. Throws a UserError if it cannot be opened.
 */
export class LogFile extends Writable implements LogSink {
  lostLines = 0
  readonly #complaint = new Complaint()
  #lines: LineWriter
  #lookAt = 0
  #missingSince: number | undefined

  /** `patience`: milliseconds in which another program can make a file that is missing. */
  constructor(
    readonly file: string,
    readonly patience = makeNewMilliseconds,
  ) {
    super({ decodeStrings: false })
    try {
      this.#lines = new LineWriter(appendNamed(file, 0o640))
    } catch (error) {
      throw new UserError(`the log ${file} cannot be opened: ${(error as Error).message}`)
    }
  }

  override _write(line: string, _: string, done: Done): void {
    try {
      this.#followName()
    } catch (error) {
      this.#complaint.say(`the log ${this.file} cannot be opened again: ${(error as Error).message}`)
    }
    try {
      this.#lines.write(line)
    } catch (error) {
      this.lostLines++
      this.#complaint.say(`the log ${this.file} cannot be written: ${(error as Error).message}`)
    }
    done()
  }

  override _final(done: Done): void {
    fs.closeSync(this.#lines.descriptor)
    done()
  }

  /** Lines into a file without its name would be lost, and no reader would know. */
  #followName(): void {
    const now = performance.now()
    if (now < this.#lookAt) return
    this.#lookAt = now + lookMilliseconds
    const mine = fs.fstatSync(this.#lines.descriptor)
    const there = fs.statSync(this.file, { throwIfNoEntry: false })
    if (there?.ino === mine.ino && there.dev === mine.dev) {
      this.#missingSince = undefined
      return
    }
    this.#missingSince ??= now
    if (!there && now - this.#missingSince < this.patience) return
    const descriptor = appendNamed(this.file, 0o640)
    fs.closeSync(this.#lines.descriptor)
    this.#lines = new LineWriter(descriptor)
    this.#missingSince = undefined
    this.#complaint.say(`the log ${this.file} was renamed or removed, and pkctld goes on in another file of that name`)
  }
}

/** stderr, which this process does not end. */
export class LogStderr extends Writable implements LogSink {
  readonly #pipe = new LogPipe(stderrWarning)

  get lostLines(): number {
    return this.#pipe.lostLines
  }

  override _write(line: Buffer | string, _: string, done: Done): void {
    this.#pipe.write(process.stderr, line.toString())
    done()
  }
}
