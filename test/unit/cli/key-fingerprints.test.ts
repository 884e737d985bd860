/** The fingerprints of `pkctl check`: equal for equal secrets, and no help for those who guess a secret. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keyFingerprints } from '../../../src/cli/output/key-fingerprints.js'
import { load } from '../config/config-support.js'

const identity = `pk1:${Buffer.alloc(32, 7).toString('base64url')}`
const hex = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'
const other = hex.replace(/8$/, '9')
const phrase = 'correct horse battery staple'

async function linesOf(...credentials: readonly string[]): Promise<string[]> {
  const named = credentials.map((options, i) => `  c${i}: { ${options}, opens: [ssh] }\n`)
  const { config } = load({ 'pkctl.yaml': `services: { ssh: { port: 22 } }\ncredentials:\n${named.join('')}` })
  return keyFingerprints(config.credentials)
}

/** Each credential on a server of its own. */
const fingerprintsOf = (...credentials: readonly string[]) =>
  Promise.all(
    credentials.map(async credential => {
      const [line = ''] = await linesOf(credential)
      return /: (?:key|secret) fingerprint ([0-9a-f]{8})$/.exec(line)?.[1] ?? line
    }),
  )

describe('fingerprints of keys', () => {
  for (const [what, credential] of [
    ['a PKD key', (key: string) => `type: pkd, key: '${key}'`],
    ['a symmetric key', (key: string) => `type: symmetric, identity: '${identity}', key: '${key}'`],
    ["fwknop's keys", (key: string) => `type: fwknop, key: '${phrase}', hmac-key: '${key}'`],
    ['a rotating secret', (key: string) => `type: rotating, open-secret: '${key}'`],
  ] as const) {
    it(`are equal for ${what} that is the same, and differ for another one`, async () => {
      const [first, same, different] = await fingerprintsOf(
        credential(`0x${hex}`),
        credential(`0x${hex}`),
        credential(`0x${other}`),
      )
      assert.match(first ?? '', /^[0-9a-f]{8}$/)
      assert.equal(same, first)
      assert.notEqual(different, first)
    })
  }

  it('are the same for a key in other letters, and of another tag', async () => {
    const padded = `type: pkd, key: '0x${hex}00'`
    const [first, ...rest] = await fingerprintsOf(
      `type: pkd, key: '0x${hex}'`,
      `type: pkd, tag: SSHK, key: '0x${hex.toUpperCase()}'`,
      padded,
    )
    assert.deepEqual(rest, [first, first])
  })

  it('take long for what a person could have thought of, and are none for what is guessed soon', async () => {
    const timed = async (...credentials: readonly string[]) => {
      const { user } = process.cpuUsage()
      await linesOf(...credentials)
      return process.cpuUsage().user - user
    }
    // Of one word each, so that no other work counts.
    const several = (key: (i: number) => string) =>
      Array.from({ length: 8 }, (_, i) => `type: pkd, tag: T${i}, key: '${key(i)}'`)
    const thoughtOf = await timed(...several(i => `${phrase} ${i}`))
    const random = await timed(...several(i => `0x${hex.slice(1)}${i}`))
    assert.ok(thoughtOf > 8 * 10_000 && thoughtOf > 5 * random, `${thoughtOf} and ${random} us`)
    for (const weak of ['test', 'secret-word', 'aaaaaaaaaaaaaaaaaaaaaaaa', '12345678901234567890'])
      assert.deepEqual(await linesOf(`type: pkd, key: '${weak}'`), ['c0: the key is weak, and has no fingerprint'])
    assert.deepEqual(await linesOf("type: rotating, open-secret: 'sesame'"), [
      'c0: the secret is weak, and has no fingerprint',
    ])
  })

  it('are of no credential without a secret of its own', async () => {
    assert.deepEqual(await linesOf('type: sequence, sequence: [7000, 8000, 9000]'), [])
  })
})
