import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Reporter } from '../../../src/controller/report/reporter.js'

describe('what the log says of knocks that are too many to name', () => {
  const texts = [
    [{ others: 1, unverified: 1 }, ['and 1 more knock', 'and 1 more invalid knock']],
    [{ others: 2, unverified: 2 }, ['and 2 more knocks', 'and 2 more invalid knocks']],
    [{ others: 0, unverified: 0 }, []],
  ] as const
  for (const [numbers, want] of texts) {
    it(`is their number: ${numbers.others} and ${numbers.unverified}`, () => {
      const lines: string[] = []
      const say = (message: string) => void lines.push(message)
      const log = { error: say, warn: say, info: say, debug: say }
      const confirmation = { confirm: () => Promise.resolve({ kind: 'unknown' } as const), skip: () => undefined }
      const byCommand = { outcome: () => Promise.resolve({ kind: 'unknown' } as const) }
      new Reporter(log, () => undefined, confirmation, byCommand).knocks([], { ...numbers, grants: 0 })
      assert.deepEqual(
        lines,
        want.map(text => `${text}, too many to name`),
      )
    })
  }
})
