/** Ends a command with a message of one line. Exit status 2 for wrong arguments, otherwise 1. */
export class UserError extends Error {
  override readonly name = 'UserError'

  constructor(
    message: string,
    readonly hint?: string,
    readonly status: 1 | 2 = 1,
  ) {
    super(message)
  }
}

export const usageError = (message: string, hint?: string): UserError => new UserError(message, hint, 2)
