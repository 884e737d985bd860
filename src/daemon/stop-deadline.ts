/**
 * Ends the process when its stop takes too long, whatever it waits for: an nft that hangs, the lock in the hands of another
 * program, a log that no process reads. Ports stay closed, because the kernel keeps the rules.
 */
import { endProcess } from '../queue/index.js'
import { killPrograms } from '../util/index.js'
import type { ConfiguredLog } from './winston-log.js'

/** systemd and people wait longer. */
const stopMilliseconds = 12_000
/** For the last answers and log lines, and for `logger` to end. */
const lingerMilliseconds = 1_500

/** Starts the time that a stop may take. `abandon` answers the requests that wait, and ends the packet worker. */
export function startStopDeadline(log: ConfiguredLog, abandon: () => void): void {
  setTimeout(() => {
    const killed = killPrograms()
    const what = killed.length > 0 ? `; killed: ${killed.join('; ')}` : ''
    log.error(`pkctld could not stop in order within ${stopMilliseconds / 1000} s${what}; protected ports stay closed`)
    abandon()
    void log.close()
    // An exit would wait for the packet worker, whatever that waits for.
    setTimeout(() => {
      killPrograms()
      process.kill(process.pid, 'SIGKILL')
    }, lingerMilliseconds)
  }, stopMilliseconds).unref()
}

/**
 * Ends the process if it does not end by itself: output that no process reads keeps it, and so does a file system that does not
 * answer, for which even an exit waits.
 */
export function exitSoon(): void {
  setTimeout(() => {
    // Behind all that is to be done at an exit.
    process.once('exit', endProcess)
    process.exit()
  }, lingerMilliseconds).unref()
}
