/** The exit status of a program whose work is a promise. */

/** Ends with the status when all is done; with 1 where there is none, because what the promise waits for never comes. */
export function exitWith(status: Promise<number>): void {
  let isKnown = false
  process.once('exit', () => {
    if (!isKnown && !process.exitCode) process.exitCode = 1
  })
  void status.then(known => {
    isKnown = true
    process.exitCode = known
  })
}
