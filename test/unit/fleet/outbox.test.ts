import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Unsent } from '../../../src/fleet/outbox.js'
import { Outbox } from '../../../src/fleet/outbox.js'

const word = (kind: Unsent['kind'], by: Unsent['by'], made: number): Unsent => ({
  ...{ kind, by, service: 'ssh', source: '192.0.2.7' },
  ...{ made, until: made + 100 },
})
const takenOf = (...words: Unsent[]) => {
  const outbox = new Outbox(10)
  for (const one of words) outbox.add(one)
  return outbox.take(10, 0).map(({ kind, by, made }) => `${kind} ${by} ${made}`)
}

describe('what waits for the engine of a fleet', () => {
  it('is the latest word', () => {
    assert.deepEqual(takenOf(word('grant', 'knock', 1), word('grant', 'knock', 2)), ['grant knock 2'])
    assert.deepEqual(takenOf(word('grant', 'knock', 1), word('revoke', 'knock', 2)), ['revoke knock 2'])
    assert.deepEqual(takenOf(word('grant', 'knock', 1), word('grant', 'hand', 2)), ['grant knock 1', 'grant hand 2'])
  })

  it('of a revocation by hand is for both, and is said although something is granted after it', () => {
    const revoked = word('revoke', 'hand', 3)
    assert.deepEqual(takenOf(word('grant', 'knock', 1), word('grant', 'hand', 2), revoked), ['revoke hand 3'])
    assert.deepEqual(takenOf(revoked, word('grant', 'hand', 4)), ['revoke hand 3', 'grant hand 4'])
    assert.deepEqual(takenOf(revoked, word('revoke', 'hand', 4)), ['revoke hand 4'])
  })
})
