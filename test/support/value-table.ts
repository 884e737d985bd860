import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ValueError } from '../../src/util/value-error.js'

/** What `parse` makes of each input; for undefined, that it refuses with a ValueError. */
export function table<I, T>(
  name: string,
  parse: (input: I) => T,
  rows: readonly (readonly [I, T | undefined])[],
): void {
  describe(name, () => {
    for (const [input, want] of rows) {
      it(`${want === undefined ? 'refuses' : 'reads'} ${JSON.stringify(input)}`, () => {
        if (want === undefined) assert.throws(() => parse(input), ValueError)
        else assert.deepEqual(parse(input), want)
      })
    }
  })
}
