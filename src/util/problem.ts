/** A message of one line and, if there is one, a hint what to do. */
export interface Problem {
  readonly message: string
  readonly hint?: string
}
