/** Messages about a sink of the log that fails, on stderr, at a limited rate. */
import { isJournal, withPriority } from '../util/index.js'

/** While a sink fails, a message is written this often. */
const complaintMilliseconds = 60_000

export class Complaint {
  #saidAt = -Infinity

  say(message: string): void {
    if (performance.now() - this.#saidAt < complaintMilliseconds) return
    this.#saidAt = performance.now()
    process.stderr.write(stderrWarning(`pkctld: ${message}\n`))
  }
}

/** The line as a warning for stderr: with its priority, where that leads to the journal. */
export const stderrWarning = (line: string): string =>
  isJournal(process.stderr.fd) ? withPriority('warn', line) : line
