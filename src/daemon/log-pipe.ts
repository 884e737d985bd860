/** Lines into a pipe or socket whose reader may be slow, or may never read: what it does not take in time is dropped. */
import type { Writable } from 'node:stream'
import { count } from '../util/index.js'

/** So much may wait for the reader. */
const maxWaitingBytes = 1_000_000

export class LogPipe {
  /** Of lines that are to be told to the reader. */
  #untold = 0
  #waiting = 0
  /** Of readers: lines that wait for one that has gone are lost already. */
  #reader = 0
  #taken = 0
  /** Lines that no process has read. */
  lostLines = 0

  /** `asWarning` puts before a line what tells the reader that it is a warning. */
  constructor(readonly asWarning: (line: string) => string = line => line) {}

  /** How many lines the pipe has taken. */
  get taken(): number {
    return this.#taken
  }

  /** Writes a line, or drops it. Never waits. */
  write(pipe: Writable, line: string): void {
    if (pipe.writableLength > maxWaitingBytes) {
      this.lose(1)
      return
    }
    if (this.#untold > 0 && pipe.writableLength === 0) {
      const lines = count(this.#untold, 'log line')
      pipe.write(this.asWarning(`pkctld: dropped ${lines}, because no process read them in time\n`))
      this.#untold = 0
    }
    this.#waiting++
    const reader = this.#reader
    pipe.write(line, error => {
      if (reader !== this.#reader) return
      this.#waiting--
      if (error) this.lose(1)
      else this.#taken++
    })
  }

  /** Lines that were not written. */
  lose(lines: number): void {
    this.#untold += lines
    this.lostLines += lines
  }

  /** The reader has gone, and with it the lines that wait. */
  abandon(): void {
    this.lose(this.#waiting)
    this.#waiting = 0
    this.#reader++
  }
}
