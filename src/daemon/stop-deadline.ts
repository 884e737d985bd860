/**
 * Ends the process when its stop takes too long, whatever it waits for: an nft that hangs, the lock in the hands of another
 * program, a log that no process reads. Ports stay closed, because the kernel keeps the rules.
 */
import type { Log } from '../controller/index.js'
import { killPrograms } from '../util/index.js'

/** systemd and people wait longer. */
const stopMilliseconds = 12_000
/** For the last answers and log lines. */
const lingerMilliseconds = 1_000

/** Starts the time that a stop may take. `refuse` answers the requests that wait. */
export function startStopDeadline(log: Log, refuse: () => void): void {
  setTimeout(() => {
    const killed = killPrograms()
    const what = killed.length > 0 ? `; killed: ${killed.join('; ')}` : ''
    log.error(`pkctld could not stop in order within ${stopMilliseconds / 1000} s${what}; protected ports stay closed`)
    refuse()
    exitSoon(1)
  }, stopMilliseconds).unref()
}

/** Ends the process if it does not end by itself: output that no process reads keeps it. */
export function exitSoon(status?: number): void {
  setTimeout(() => process.exit(status), lingerMilliseconds).unref()
}
