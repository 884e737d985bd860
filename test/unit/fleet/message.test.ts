import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { FleetMessage, Group, MessageLimits } from '../../../src/fleet/message.js'
import { decodeMessage, encodeMessage, longestHello } from '../../../src/fleet/message.js'
import { ValueError } from '../../../src/util/value-error.js'

const group: Group = { name: 'edge', key: Buffer.alloc(32, 7) }
const now = 1_900_000_000_000
const limits: MessageLimits = { now, ahead: 30_000, longestWindow: 3_600_000 }
const sent = { node: 'web-1.example', epoch: now - 5000, sequence: 17, made: now - 20 }
const grant: FleetMessage = {
  ...{ ...sent, kind: 'grant', by: 'knock', service: 'ssh', source: '192.0.2.7' },
  until: now + 60_000,
}
const hello: FleetMessage = { ...sent, kind: 'hello', text: '{"version":"1"}' }

describe('messages of a fleet', () => {
  const messages: FleetMessage[] = [
    grant,
    { ...grant, by: 'hand', source: '2001:db8::7' },
    { ...grant, kind: 'revoke', source: '198.51.100.0/24', service: 'a'.repeat(40) },
    { ...grant, source: '2001:db8:0:1::/64' },
    hello,
    { ...hello, text: 'x'.repeat(longestHello) },
  ]
  for (const [i, message] of messages.entries()) {
    it(`come back as they were: ${i} ${message.kind}`, () => {
      assert.deepEqual(decodeMessage(encodeMessage(message, group), group, limits), message)
    })
  }

  it('count only if each bit is as it was', () => {
    for (const message of [grant, hello]) {
      const bytes = Buffer.from(encodeMessage(message, group), 'base64')
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const changed = Buffer.from(bytes)
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
        assert.equal(typeof decodeMessage(changed.toString('base64'), group, limits), 'string', `bit ${bit}`)
      }
    }
  })

  it('count only as a whole', () => {
    const text = encodeMessage(grant, group)
    const bytes = Buffer.from(text, 'base64')
    for (let length = 0; length < bytes.length; length++)
      assert.equal(typeof decodeMessage(bytes.subarray(0, length).toString('base64'), group, limits), 'string')
    for (const more of [
      Buffer.concat([bytes, Buffer.alloc(1)]).toString('base64'),
      `${text}=`,
      `${text}\n`,
      ` ${text}`,
    ])
      assert.equal(typeof decodeMessage(more, group, limits), 'string')
  })

  const refused: [string, FleetMessage, Group, string][] = [
    ['of another key', grant, { ...group, key: Buffer.alloc(32, 8) }, 'foreign'],
    ['of another group with the same key', grant, { ...group, name: 'edge2' }, 'group'],
    ['from the future', { ...grant, made: now + 30_001, until: now + 60_000 }, group, 'future'],
    ['with a grant that is too long', { ...grant, until: grant.made + 3_600_001 }, group, 'overlong'],
    ['about every address', { ...grant, source: '0.0.0.0/0' }, group, 'malformed'],
    ['about an address without a sender', { ...grant, source: '224.0.0.1' }, group, 'malformed'],
    ['about a prefix with host bits', { ...grant, source: '192.0.2.7/24' }, group, 'malformed'],
    ['about a service without a name', { ...grant, service: '' }, group, 'malformed'],
    ['of a node whose name breaks a line', { ...grant, node: 'a\nb' }, group, 'malformed'],
  ]
  for (const [what, message, sender, reason] of refused) {
    it(`are refused ${what}`, () => {
      assert.equal(decodeMessage(encodeMessage(message, sender), group, limits), reason)
    })
  }

  it('say that they are of another version', () => {
    const bytes = Buffer.from(encodeMessage(grant, group), 'base64')
    bytes[3] = '2'.charCodeAt(0)
    assert.equal(decodeMessage(bytes.toString('base64'), group, limits), 'version')
  })

  it('are not made too long', () => {
    assert.throws(() => encodeMessage({ ...hello, text: 'x'.repeat(longestHello + 1) }, group), ValueError)
  })

  it('have no text of the key', () => {
    const key = Buffer.from('0123456789abcdef0123456789abcdef')
    const bytes = Buffer.from(encodeMessage(grant, { ...group, key }), 'base64')
    assert.equal(bytes.includes(key), false)
  })
})
