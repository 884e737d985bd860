/** Where lines of the log go. None of them waits: a line that cannot be written is lost, with a message on stderr. */
import * as fs from 'node:fs'
import { Writable } from 'node:stream'
import { appendNamed, UserError } from '../util/index.js'
import { Complaint } from './log-complaint.js'
import { LineWriter } from './line-writer.js'
import { LogPipe } from './log-pipe.js'

type Done = (error?: Error | null) => void

/** A sink, and how many lines it has lost. */
export interface LogSink extends Writable {
  readonly lostLines: number
}

/**
 * A file to which lines are appended, also after another program has truncated it. Throws a UserError if it cannot be
 * opened.
 */
export class LogFile extends Writable implements LogSink {
  lostLines = 0
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
      this.lostLines++
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
export class LogStderr extends Writable implements LogSink {
  readonly #pipe = new LogPipe()

  get lostLines(): number {
    return this.#pipe.lostLines
  }

  override _write(line: Buffer | string, _: string, done: Done): void {
    this.#pipe.write(process.stderr, line.toString())
    done()
  }
}
