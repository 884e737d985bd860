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

/** The name of a request; undefined for anything else. */
export function requestIn<R extends string>(message: unknown, known: readonly R[]): R | undefined {
  const request = (message as { request?: unknown } | null)?.request
  return known.find(name => name === request)
}

export const unknownRequest: Answer = { ok: false, problems: [{ message: 'unknown request' }] }
