/** What a program answers at its socket. */

export type Answer =
  { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly problems: readonly Problem[] }

/** One line for a person, and perhaps what to do about it. */
export interface Problem {
  readonly message: string
  readonly hint?: string
}

/** The daemon's own words on why it did not do it. */
export class RefusedByDaemon extends Error {
  override readonly name = 'RefusedByDaemon'

  constructor(readonly problems: readonly Problem[]) {
    super(problems.map(({ message }) => message).join('; '))
  }
}
