/** What holds for every reader, whatever its input is. */
import assert from 'node:assert/strict'

type ErrorClass = new (...args: never[]) => Error

/** Runs `read`, which may throw errors of these classes: with a message of one clear line. Undefined if it does. */
export function orRefused<T>(read: () => T, ...classes: readonly ErrorClass[]): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!classes.some(one => error instanceof one)) throw error
    isClear((error as Error).message)
    const { hint } = error as { hint?: string }
    if (hint !== undefined) isClear(hint)
    return undefined
  }
}

// eslint-disable-next-line no-control-regex -- control characters are the point
const unclear = /[\0-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/
const longestMessage = 1000

/** That a message is one line, of a length that a person reads, and cannot steer a terminal. */
export function isClear(message: string): void {
  assert.ok(message.trim() !== '', 'a message is empty')
  assert.ok(!unclear.test(message), `a message is not one plain line: ${JSON.stringify(message)}`)
  assert.ok(message.length <= longestMessage, `a message has ${message.length} characters: ${message.slice(0, 200)}…`)
}

const prototypes = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Map.prototype]
const namesOf = () => prototypes.map(prototype => Reflect.ownKeys(prototype).length).join()
const known = namesOf()

/** That no input has changed what all objects inherit. */
export function prototypesAreClean(): void {
  if (namesOf() !== known) throw new Error('a prototype of all objects was changed')
}
