/** The exit status of a command that failed. */
import { SecretFormatError } from '../../knock/index.js'
import { UserError, ValueError } from '../../util/index.js'

/** 2 for wrong arguments of a command, 1 for everything else. */
export function exitStatusOf(error: unknown): 1 | 2 {
  if (error instanceof UserError) return error.status
  return error instanceof ValueError || error instanceof SecretFormatError ? 2 : 1
}
