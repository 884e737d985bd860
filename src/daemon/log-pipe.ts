/** Lines into a pipe or socket whose reader may be slow, or may never read: what it does not take in time is dropped. */
import type { Writable } from 'node:stream'

/** So much may wait for the reader. */
const maxWaitingBytes = 1_000_000

export class LogPipe {
  #dropped = 0

  /** Writes a line, or drops it. Never waits. */
  write(pipe: Writable, line: string): void {
    if (pipe.writableLength > maxWaitingBytes) {
      this.#dropped++
      return
    }
    if (this.#dropped > 0 && pipe.writableLength === 0) {
      pipe.write(`pkctld: ${this.#dropped} log lines were dropped, because no process read them in time\n`)
      this.#dropped = 0
    }
    pipe.write(line)
  }
}
