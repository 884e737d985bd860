/** The fingerprints of `pkctl check`: equal for equal secrets, and no help for those who guess a secret. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keyFingerprints } from '../../../src/cli/output/key-fingerprints.js'
import { load } from '../config/config-support.js'

const identity = `pk1:${Buffer.alloc(32, 7).toString('base64url')}`
const hex = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'
const other = hex.replace(/8$/, '9')
const phrase = 'correct horse battery staple'

function linesOf(...credentials: readonly string[]): string[] {
  const named = credentials.map((options, i) => `  c${i}: { ${options}, opens: [ssh] }\n`)
  const { config } = load({ 'pkctl.yaml': `services: { ssh: { port: 22 } }\ncredentials:\n${named.join('')}` })
  return keyFingerprints(config.credentials)
}

/** Each credential on a server of its own. */
const fingerprintsOf = (...credentials: readonly string[]) =>
  credentials.map(credential => {
    const [line = ''] = linesOf(credential)
    return /: key fingerprint ([0-9a-f]{8})$/.exec(line)?.[1] ?? line
  })

describe('fingerprints of keys', () => {
  for (const [what, credential] of [
    ['a PKD key', (key: string) => `type: pkd, key: '${key}'`],
    ['a symmetric key', (key: string) => `type: symmetric, identity: '${identity}', key: '${key}'`],
    ["fwknop's keys", (key: string) => `type: fwknop, key: '${phrase}', hmac-key: '${key}'`],
  ] as const) {
    it(`are equal for ${what} that is the same, and differ for another one`, () => {
      const [first, same, different] = fingerprintsOf(
        credential(`0x${hex}`),
        credential(`0x${hex}`),
        credential(`0x${other}`),
      )
      assert.match(first ?? '', /^[0-9a-f]{8}$/)
      assert.equal(same, first)
      assert.notEqual(different, first)
    })
  }

  it('are the same for a key in other letters, and of another tag', () => {
    const padded = `type: pkd, key: '0x${hex}00'`
    const [first, ...rest] = fingerprintsOf(
      `type: pkd, key: '0x${hex}'`,
      `type: pkd, tag: SSHK, key: '0x${hex.toUpperCase()}'`,
      padded,
    )
    assert.deepEqual(rest, [first, first])
  })

  it('are none for text, which a person could have thought of, and for what is guessed soon', () => {
    for (const text of [phrase, hex, 'pässwörter sind Wörter'])
      assert.deepEqual(linesOf(`type: pkd, key: '${text.slice(0, 32)}'`), [
        'c0: the key is text, and has no fingerprint',
      ])
    for (const weak of ['test', 'secret-word', 'aaaaaaaaaaaaaaaaaaaaaaaa', '12345678901234567890', '0x80818283'])
      assert.deepEqual(linesOf(`type: pkd, key: '${weak}'`), ['c0: the key is weak, and has no fingerprint'])
    const both = `type: fwknop, key: '${phrase}', hmac-key: '${phrase} 2'`
    assert.deepEqual(linesOf(both), ['c0: the key is text, and has no fingerprint'])
  })

  it('are there for a random key whose last byte is zero', () => {
    assert.match(linesOf(`type: pkd, key: '0x${hex.slice(0, -2)}00'`).join(), /key fingerprint [0-9a-f]{8}$/)
  })

  it('are of no credential without a key of its own', () => {
    assert.deepEqual(linesOf('type: sequence, sequence: [7000, 8000, 9000]'), [])
    assert.deepEqual(linesOf(`type: rotating, open-secret: '${phrase}'`), [])
  })
})
