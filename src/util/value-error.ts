/** The error for a value from a user that is malformed or out of bounds. */
import { shown } from './text.js'

/** The message has one line, for the person who wrote the value. */
export class ValueError extends Error {
  override readonly name = 'ValueError'
  constructor(
    message: string,
    readonly hint?: string | undefined,
  ) {
    super(message)
  }
}

/** `expected WHAT, got VALUE` */
export const unexpected = (what: string, value: unknown): ValueError =>
  new ValueError(`expected ${what}, got ${shown(value)}`)
