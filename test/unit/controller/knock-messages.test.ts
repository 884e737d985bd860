import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { refusals } from '../../../src/controller/verify/decision.js'
import type { KnockEvent } from '../../../src/controller/report/knock-events.js'
import type { Granted } from '../../../src/controller/report/knock-messages.js'
import { knockMessage } from '../../../src/controller/report/knock-messages.js'

const at = { source: '192.0.2.1', port: 40_000 }
const granted = (...grants: [string, number][]): Granted =>
  grants.map(([name, seconds]) => ({ service: { name }, seconds }))
const laptop = granted(['ssh', 60], ['web', 30])

describe('knockMessage', () => {
  const grants: readonly (readonly [Partial<KnockEvent>, Granted, string])[] = [
    [
      { credential: 'laptop', clockDifferenceSeconds: 0 },
      laptop,
      'knock by laptop from 192.0.2.1 opens ssh for 60 s, web for 30 s (its clock: 0 s)',
    ],
    [
      { credential: 'laptop', clockDifferenceSeconds: 3 },
      laptop,
      'knock by laptop from 192.0.2.1 opens ssh for 60 s, web for 30 s (its clock: +3 s)',
    ],
    [
      { credential: 'laptop', clockDifferenceSeconds: -3 },
      granted(['ssh', 5]),
      'knock by laptop from 192.0.2.1 opens ssh for 5 s (its clock: -3 s)',
    ],
    [
      { credential: 'laptop', onBehalfOf: '203.0.113.9' },
      granted(['ssh', Infinity]),
      'knock by laptop from 192.0.2.1 on behalf of 203.0.113.9 opens ssh without a time limit',
    ],
    [
      { credential: 'staff', prefix: 64, source: '2001:db8::1' },
      [
        { service: { name: 'ssh', prefix4: 32, prefix6: 128 }, seconds: 60 },
        { service: { name: 'lan', prefix4: 32, prefix6: 64 }, seconds: 60 },
        { service: { name: 'web', prefix4: 32, prefix6: 56 }, seconds: 60 },
      ],
      'knock by staff from 2001:db8::1 opens ssh for 60 s, lan for 60 s, web for 60 s; it asks for a prefix of 64 bits, and gets 128 of ssh, 56 of web',
    ],
    [
      { credential: 'staff', prefix: 24 },
      [{ service: { name: 'lan', prefix4: 24, prefix6: 128 }, seconds: 60 }],
      'knock by staff from 192.0.2.1 opens lan for 60 s',
    ],
    [{ credential: 'gone' }, [], 'knock by gone from 192.0.2.1 is valid, and opens nothing'],
  ]
  for (const [event, opener, want] of grants) {
    it(want, () => {
      const { level, message, fields } = knockMessage({ kind: 'grant', ...at, ...event }, opener)
      assert.deepEqual([level, message], ['info', want])
      assert.equal(fields.event, 'knock-accepted')
      assert.deepEqual(
        fields.services,
        opener.map(({ service }) => service.name),
      )
    })
  }

  const reasons: Readonly<Record<(typeof refusals)[number], readonly ['debug' | 'info', RegExp]>> = {
    malformed: ['debug', /^knock from 192\.0\.2\.1 refused: malformed$/],
    'unknown-tag': ['debug', /refused: unknown tag$/],
    'wrong-port': ['debug', /refused: sent to the wrong port$/],
    'bad-hash': ['debug', /refused: bad hash: wrong key/],
    skewed: [
      'info',
      /^knock by laptop from 192\.0\.2\.1 refused: skewed: the clocks differ by 12 s \(its clock: -12 s\)$/,
    ],
    replayed: ['info', /refused: replayed \(its clock/],
    stale: ['info', /refused: stale: /],
    'rate-limited': ['info', /refused: rate-limited/],
    'link-local': ['info', /refused: its address is link-local/],
    'address-not-allowed': ['info', /refused: asks for an address that it may not ask for/],
    'bad-message': ['info', /refused: what it asks for cannot be read/],
    'command-refused': ['info', /refused: asks to run a command/],
    'nat-refused': ['info', /refused: asks for address translation/],
    'wrong-user': ['info', /refused: names another user/],
    'source-not-named': ['info', /refused: names no address of its sender/],
    'port-not-allowed': ['info', /refused: asks for a port of no service/],
    'prefix-not-allowed': ['info', /refused: asks for a prefix/],
    'not-opened': ['debug', /refused: it could not be decrypted/],
    'unknown-key': ['debug', /refused: unknown key$/],
    'bad-certificate': ['debug', /refused: its certificate cannot be read$/],
    revoked: ['debug', /refused: its key or certificate is revoked$/],
    'revocations-unknown': ['debug', /refused: a list of revoked keys cannot be read/],
    'key-expired': ['debug', /refused: the expiry-time of its key has passed$/],
    'certificate-expired': ['debug', /refused: its certificate has expired$/],
    'certificate-not-yet-valid': ['debug', /refused: its certificate is not yet valid$/],
    'wrong-principal': ['debug', /refused: its certificate names none of the principals$/],
    'source-not-allowed': ['debug', /refused: its key or certificate is for other source addresses$/],
    'service-not-allowed': ['debug', /refused: asks for a service that its key does not open$/],
    'bad-signature': ['debug', /refused: bad signature$/],
    'signatures-busy': ['debug', /refused: too many signatures are being verified$/],
    'signatures-late': ['debug', /refused: its signature was not verified in time$/],
    'signatures-down': ['debug', /refused: signatures are not verified at the moment$/],
    expired: ['info', /refused: its credential has expired/],
    'line-unmarked': ['info', /refused: its line could not be marked as used/],
    'out-of-time': ['debug', /refused: out of time: the sequence took longer than its timeout$/],
    'memory-full': ['info', /refused: the replay cache of the credential is full/],
    'state-unwritable': ['info', /refused: the state directory cannot be written/],
    claimed: ['info', /refused: another server of the fleet has got it first/],
    'fleet-away': ['info', /refused: the engine of the fleet cannot be asked/],
    'fleet-late': ['info', /refused: the engine of the fleet has not said in time/],
    'fleet-unsure': ['info', /refused: the engine of the fleet may have forgotten/],
    'fleet-busy': ['info', /refused: too many knocks wait for the engine/],
  }
  for (const reason of refusals) {
    const [level, pattern] = reasons[reason]
    it(`${reason}, at ${level}`, () => {
      const known = level === 'info' ? { credential: 'laptop', clockDifferenceSeconds: -12 } : {}
      const sentence = knockMessage({ kind: 'refuse', reason, ...at, ...known }, laptop)
      assert.equal(sentence.level, level)
      assert.match(sentence.message, pattern)
      assert.equal(sentence.fields.event, 'knock-refused')
      assert.equal(sentence.fields.reason, reason)
      assert.equal(sentence.fields.services, undefined)
    })
  }

  it('fields carry the facts, and those alone that are known', () => {
    const event: KnockEvent = { kind: 'grant', ...at, credential: 'laptop', clockDifferenceSeconds: 2 }
    assert.deepEqual(knockMessage(event, laptop).fields, {
      event: 'knock-accepted',
      ...at,
      credential: 'laptop',
      skew: 2,
      services: ['ssh', 'web'],
    })
    assert.deepEqual(knockMessage({ kind: 'refuse', reason: 'malformed', ...at }, []).fields, {
      event: 'knock-refused',
      ...at,
      reason: 'malformed',
    })
  })
})
