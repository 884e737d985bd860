import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { MacKey } from '../../../../src/knock/pk1/mac-key.js'

test('a key that is used again makes the HMAC that node makes', () => {
  for (const keyLength of [1, 32, 64]) {
    const raw = randomBytes(keyLength)
    const key = new MacKey(raw)
    const bytes = randomBytes(1100)
    // Longer and shorter ones in turn: nothing may be left of the one before.
    for (const [from, to, from2, to2] of [
      [0, 24, 40, 1024],
      [3, 19, 0, 0],
      [0, 8, 0, 0],
      [5, 5, 0, 0],
      [0, 24, 40, 160],
      [76, 100, 116, 332],
      [0, 1024, 0, 0],
      [0, 33, 0, 1],
    ] as const) {
      const want = createHmac('sha256', raw)
        .update(bytes.subarray(from, to))
        .update(bytes.subarray(from2, to2))
        .digest()
      assert.equal(key.digest(bytes, from, to, from2, to2), want.toString('latin1'), `${keyLength} ${from} ${to}`)
    }
  }
})
