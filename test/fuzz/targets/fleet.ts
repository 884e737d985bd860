/** What stands in the engine of a fleet: anyone who can write there can put anything there. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import type { FleetMessage } from '../../../src/fleet/message.js'
import { decodeMessage, encodeMessage, messageRefusals } from '../../../src/fleet/message.js'
import { parseGranted } from '../../../src/net/sources.js'
import type { Target } from '../target.js'

const group = { name: 'g', key: Buffer.alloc(32, 1) }
const limits = { now: 2_000_000, ahead: 1000, longestWindow: 3_600_000 }
const sent = { node: 'n', epoch: 1, sequence: 1, made: 1_999_000 }
const messages: FleetMessage[] = [
  { ...sent, kind: 'grant', by: 'knock', service: 'ssh', source: '192.0.2.7', until: 2_060_000 },
  { ...sent, kind: 'revoke', by: 'hand', service: 'ssh', source: '2001:db8::/64', until: 2_060_000 },
  { ...sent, kind: 'hello', text: '{}' },
]
const bodies = messages.map(message => Buffer.from(encodeMessage(message, group), 'base64').subarray(0, -32))

function check(text: string): void {
  const message = decodeMessage(text, group, limits)
  if (typeof message === 'string') {
    assert.ok(messageRefusals.includes(message))
    return
  }
  assert.ok(message.made <= limits.now + limits.ahead)
  if (message.kind === 'hello') return
  assert.equal(parseGranted(message.source).source, message.source)
  assert.ok(message.until - message.made <= limits.longestWindow)
}

export const fleetTargets: readonly Target[] = [
  {
    name: 'fleet-message',
    seeds: bodies,
    run(input) {
      check(input.toString('latin1'))
      check(input.toString('base64'))
      // By a holder of the key, too.
      const mac = createHmac('sha256', group.key).update(input).digest()
      check(Buffer.concat([input, mac]).toString('base64'))
    },
  },
]
