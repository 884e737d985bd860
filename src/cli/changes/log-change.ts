/** Who changed what by command: a line in the log of the daemon or, where none runs, in the system's log. */
import * as os from 'node:os'
import type { Message } from '../../daemon/requests.js'
import { ask, execute, oneLine } from '../../util/index.js'

const answerMilliseconds = 2000

/** A failure is no failure of the command, which has done its work. */
export async function logChange(socket: string, what: string): Promise<void> {
  const by = who()
  try {
    const note: Message = { request: 'note', what, by }
    if ((await ask(socket, note, answerMilliseconds)).ok) return
  } catch {
    // No daemon answers, or it does not take notes from this user.
  }
  const argv = ['--tag', 'pkctl', '--priority', 'daemon.info', '--', oneLine(`${what}, by command of ${by}`)]
  await execute('logger', argv).catch(() => undefined)
}

/** The user, and who became this user by sudo. The socket tells the daemon nothing about it. */
function who(environment = process.env): string {
  const user = userName()
  const before = environment['SUDO_USER']
  return oneLine(before === undefined || before === user ? user : `${user} (sudo by ${before.slice(0, 64)})`)
}

function userName(): string {
  try {
    return os.userInfo().username
  } catch {
    return `user ${process.geteuid?.() ?? 'unknown'}`
  }
}
