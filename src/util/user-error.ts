/** Ends a command with one clear line. Exit status 1, or 2 where the words of the command were wrong. */
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
