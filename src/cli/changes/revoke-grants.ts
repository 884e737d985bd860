/** The grants of a user, or by a credential: the daemon knows which they are. */
import type { RevokedGrants, RevokedUser } from '../../controller/index.js'
import { askDaemon } from '../../daemon/control-client.js'
import type { Terminal } from '../../util/index.js'
import { reasonOf, timeText } from '../../util/index.js'
import { revokedText } from '../output/service-text.js'
import { whoAsks } from './who-asks.js'

/** What the daemon did, or why it did not. */
type RevokedByDaemon = RevokedGrants | { readonly problem: string; readonly isRunning: boolean }

/** Never rejects: what was changed before in the files stays so. */
export async function revokeGrants(socket: string, whose: RevokedUser): Promise<RevokedByDaemon> {
  try {
    const answer = await askDaemon(socket, { request: 'revoke', ...whose, by: await whoAsks() })
    if (answer.ok) return answer.result as RevokedGrants
    return { problem: answer.problems.map(({ message }) => message).join('; '), isRunning: true }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ECONNREFUSED')
      return { problem: `pkctld is not running: no daemon answers at ${socket}`, isRunning: false }
    return { problem: `pkctld at ${socket} did not answer: ${reasonOf(error)}`, isRunning: true }
  }
}

export function printRevoked(result: RevokedByDaemon, name: string, terminal: Terminal): void {
  if ('problem' in result) {
    terminal.warn(`grants of ${name} that run stay until their windows end: ${result.problem}`)
    const when = result.isRunning ? '' : ', when pkctld runs'
    terminal.hint(`pkctl user revoke ${name} again${when}, to revoke them; pkctl list shows all grants`)
    return
  }
  printGrants(result, terminal)
}

export function printGrants(result: RevokedGrants, terminal: Terminal): void {
  for (const { source, service } of result.revoked) terminal.out(revokedText(source, service))
  for (const { source, service, secondsLeft } of result.kept) {
    terminal.out(
      `${source} may still use ${service} ${timeText(secondsLeft)}: another user or command has granted it, too`,
    )
  }
}
