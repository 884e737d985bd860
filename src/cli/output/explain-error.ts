/** What a failed command says: errors and hints, and its exit status. */
import { problemsOf } from '../../daemon/error-messages.js'
import type { Terminal } from '../../util/index.js'
import { exitStatusOf } from './exit-status.js'

/** Says it, and gives the exit status. */
export function explainError(error: unknown, terminal: Terminal): number {
  for (const { message, hint } of problemsOf(error)) {
    terminal.error(message)
    if (hint !== undefined) terminal.hint(hint)
  }
  return exitStatusOf(error)
}
