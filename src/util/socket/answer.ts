/** What a server of util/socket/server.ts answers. */
import type { Problem } from '../problem.js'

export type Answer =
  { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly problems: readonly Problem[] }

/**
 * The field of a request whose asker keeps its side of the connection open until the answer comes: its end means that the
 * asker has left. Without it, the end of the asker's side is the end of the request.
 */
export const staysOpen = 'stays-open'

/** The name of a request; undefined for anything else. */
export function requestIn<R extends string>(message: unknown, known: readonly R[]): R | undefined {
  const request = (message as { request?: unknown } | null)?.request
  return known.find(name => name === request)
}

export const unknownRequest: Answer = { ok: false, problems: [{ message: 'unknown request' }] }
