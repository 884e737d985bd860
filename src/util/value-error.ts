/** The error for a value that people wrote and that is out of form or bounds. */
import { shown } from './text.js'

/** A value that cannot be one. The message has one line and is for the person who wrote the value. */
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
