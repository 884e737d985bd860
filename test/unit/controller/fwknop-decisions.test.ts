/** What a packet of fwknop asks for, beside what its credential grants. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { partOf } from '../../../src/controller/verify/requested-part.js'
import type { FirstDecision } from '../../../src/controller/verify/decision.js'
import { refusedUsedUp } from '../../../src/controller/verify/decision.js'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import { ReplayCache } from '../../../src/controller/replay/replay-cache.js'
import { KnockVerifier } from '../../../src/controller/verify/verifier.js'
import type { KnockRequest } from '../../../src/knock/format.js'
import type { FwknopSecret } from '../../../src/knock/fwknop/fwknop-format.js'
import { fwknop } from '../../../src/knock/fwknop/fwknop-format.js'
import type { KnockParts } from './knock-support.js'
import { knock, laptop, start, TestClock } from './knock-support.js'

const secret: FwknopSecret = {
  key: Buffer.from('enc'),
  hmacKey: Buffer.from('mac'),
  hmac: 'sha256',
  user: null,
  requireSourceAddress: false,
  expires: null,
  maxWindow: 300,
}
const grant = (service: string, protocol: string, first: number, last = first) => ({
  service,
  protocol,
  ports: [{ first, last }],
  seconds: 60,
})
const ssh = grant('ssh', 'tcp', 22)
const vpn = grant('vpn', 'any', 1190, 1199)
const telephone: PacketCredential = {
  ...laptop,
  name: 'telephone',
  type: 'fwknop',
  secret,
  identity: fwknop.identityOf(secret),
  port: 62_201,
  grants: [ssh],
}
const [tcp22, udp1194, tcp80] = [
  { protocol: 'tcp', port: 22 },
  { protocol: 'udp', port: 1194 },
  { protocol: 'tcp', port: 80 },
] as const

/** Decides on packets that ask for this, one after the other. */
function decider(credential: PacketCredential = telephone, clock = new TestClock()) {
  const memory = new ReplayCache({ skew: credential.skew, entries: 9 })
  const verifier = new KnockVerifier(structuredClone([laptop, credential]), () => memory, clock)
  const made = (asks: KnockRequest['asks']) =>
    fwknop.encode({ port: 1, time: start, random: randomBytes, ...(asks ? { asks } : {}) }, secret)
  return {
    made,
    of: (payload: Buffer, parts: KnockParts = {}) => verifier.verify(knock({ port: 62_201, payload, ...parts })),
    asking: (asks: KnockRequest['asks'], parts: KnockParts = {}) =>
      verifier.verify(knock({ port: 62_201, payload: made(asks), ...parts })),
    memory,
  }
}
const outcome = (decision: FirstDecision) => {
  if (decision.kind === 'verify') return 'to verify'
  return decision.kind === 'refuse' ? decision.reason : (decision.knock.requested?.address ?? decision.part ?? 'all')
}

describe('a packet of fwknop', () => {
  const both = { ...telephone, grants: [ssh, vpn] }
  const table: readonly [string, PacketCredential, KnockRequest['asks'], unknown][] = [
    ['the only port', telephone, { ports: [tcp22] }, 'all'],
    ['a port that is not opened', telephone, { ports: [tcp80] }, 'port-not-allowed'],
    ['the same port of the other protocol', telephone, { ports: [{ protocol: 'udp', port: 22 }] }, 'port-not-allowed'],
    ['one that is opened and one that is not', telephone, { ports: [tcp22, tcp80] }, 'port-not-allowed'],
    ['all ports', both, { ports: [tcp22, udp1194] }, 'all'],
    ['a port twice', telephone, { ports: [tcp22, tcp22] }, 'all'],
    ['one port of two services', both, { ports: [udp1194] }, { services: ['vpn'], seconds: null }],
    ['the time that it gets anyway', telephone, { ports: [tcp22], seconds: 60 }, 'all'],
    ['another time', telephone, { ports: [tcp22], seconds: 30 }, { services: ['ssh'], seconds: 30 }],
    ['more time than it may', telephone, { ports: [tcp22], seconds: 3000 }, { services: ['ssh'], seconds: 300 }],
    ['a part of what is closed', { ...both, revokes: true }, { ports: [tcp22] }, 'all'],
    ['its own address', telephone, { ports: [tcp22], address: '192.0.2.1' }, 'all'],
    ['another address', telephone, { ports: [tcp22], address: '192.0.2.9' }, 'address-not-allowed'],
    [
      'another address, where it may',
      { ...telephone, onBehalfOf: ['192.0.2.0/24'] },
      { ports: [tcp22], address: '192.0.2.9' },
      '192.0.2.9',
    ],
    [
      'an address where it may not',
      { ...telephone, onBehalfOf: ['198.51.100.0/24'] },
      { ports: [tcp22], address: '192.0.2.9' },
      'address-not-allowed',
    ],
  ]
  for (const [name, credential, asks, want] of table) {
    it(`that asks for ${name}`, () => assert.deepEqual(outcome(decider(credential).asking(asks)), want))
  }

  it('is used up by each of its refusals, and never by a wrong one', () => {
    const { made, of, memory } = decider()
    const payload = made({ ports: [tcp80] })
    assert.equal(outcome(of(payload)), 'port-not-allowed')
    assert.ok(refusedUsedUp.has('port-not-allowed'))
    assert.equal(outcome(of(payload)), 'replayed')
    const { size } = memory
    payload[50] = payload[50] === 65 ? 66 : 65
    assert.equal(outcome(of(payload)), 'bad-hash')
    assert.equal(memory.size, size)
  })

  it('counts until its credential expires', () => {
    const clock = new TestClock()
    const expiring = (expires: number) => decider({ ...telephone, secret: { ...secret, expires } }, clock)
    assert.equal(outcome(expiring(start + 60).asking({ ports: [tcp22] })), 'all')
    assert.equal(outcome(expiring(start).asking({ ports: [tcp22] })), 'expired')
  })

  it('opens no longer than its credential counts', () => {
    const expiring = (seconds: number) => decider({ ...telephone, secret: { ...secret, expires: start + seconds } })
    const part = { services: ['ssh'], seconds: null }
    assert.deepEqual(outcome(expiring(59).asking({ ports: [tcp22] })), { ...part, atMost: 59 })
    assert.deepEqual(outcome(expiring(99).asking({ ports: [tcp22], seconds: 300 })), {
      ...part,
      seconds: 300,
      atMost: 99,
    })
    assert.deepEqual(outcome(expiring(99).asking({ ports: [tcp22], seconds: 30 })), { ...part, seconds: 30 })
  })

  it('is of its port, its lengths and its first characters', () => {
    const { made, of, asking } = decider()
    const payload = made({ ports: [tcp22] })
    assert.equal(outcome(asking({ ports: [tcp22] }, { port: 62_202 })), 'wrong-port')
    assert.equal(outcome(of(payload.subarray(1))), 'malformed')
    assert.equal(outcome(of(Buffer.concat([Buffer.from('A'), payload.subarray(1)]))), 'unknown-tag')
    assert.equal(outcome(of(payload, { version: 6 })), 'all')
  })

  it('of IPv6 that names an address of IPv4 asks on its behalf', () => {
    assert.equal(
      outcome(decider().asking({ ports: [tcp22], address: '192.0.2.1' }, { version: 6 })),
      'address-not-allowed',
    )
  })
})

describe('the part that is asked for', () => {
  const grants = [
    { service: { name: 'ssh' }, seconds: 60 },
    { service: { name: 'vpn' }, seconds: 90 },
  ] as const
  it('has its services, and its time', () => {
    assert.deepEqual(partOf(grants, undefined), grants)
    assert.deepEqual(partOf(grants, { services: ['vpn'], seconds: null }), [grants[1]])
    assert.deepEqual(partOf(grants, { services: ['vpn'], seconds: 5 }), [{ ...grants[1], seconds: 5 }])
  })
})
