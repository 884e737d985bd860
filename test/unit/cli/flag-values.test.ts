import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSeconds } from '../../../src/cli/flags/flag-values.js'

describe('a flag that takes a time', () => {
  it('is in seconds', () => {
    assert.equal(parseSeconds('--timeout', '5'), 5)
    assert.equal(parseSeconds('--timeout', '2m'), 120)
    assert.equal(parseSeconds('--timeout', '1d'), 86_400)
  })

  // 2^31 ms and more make a timer of 1 ms.
  for (const text of ['0', '25d', '30d', '2147484', '86401', '9999999999d']) {
    it(`is not ${text}`, () => {
      assert.throws(() => parseSeconds('--timeout', text), {
        message: `--timeout takes a time from 1s to 1d, not '${text}'`,
      })
    })
  }
})
