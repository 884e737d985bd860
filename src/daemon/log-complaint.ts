/** Messages about a sink of the log that fails, on stderr, at a limited rate. */
import { isJournal, withPriority } from '../util/index.js'

/** While a sink fails, a message is written this often. */
const complaintMilliseconds = 60_000

export class Complaint {
  #saidAt = -Infinity

  say(message: string): void {
    if (performance.now() - this.#saidAt < complaintMilliseconds) return
    this.#saidAt = performance.now()
    const line = `pkctld: ${message}\n`
    process.stderr.write(isJournal(process.stderr.fd) ? withPriority('warn', line) : line)
  }
}
