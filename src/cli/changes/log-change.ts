/** Who changed what by command: a line in the log of the daemon or, where none runs, in the system's log. */
import type { ChangeRecord } from '../../daemon/change-record.js'
import { declaredName, placeText } from '../../daemon/declared.js'
import type { Message } from '../../daemon/requests.js'
import { ask, execute, oneLine } from '../../util/index.js'
import { whoAsks } from './who-asks.js'

const answerMilliseconds = 2000

/** `what` is the sentence, `change` the same for programs. A failure is no failure of the command, which has done its work. */
export async function logChange(socket: string, what: string, change: ChangeRecord): Promise<void> {
  const by = await whoAsks()
  try {
    const note: Message = { request: 'note', what, by, change }
    if ((await ask(socket, note, answerMilliseconds)).ok) return
  } catch {
    // No daemon answers, or it does not take notes from this user.
  }
  const text = oneLine(`${what}, by command of ${placeText(declaredName(by), by)}`)
  await execute('logger', ['--tag', 'pkctl', '--priority', 'daemon.info', '--', text]).catch(() => undefined)
}
