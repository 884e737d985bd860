/** Knocks whose first words change with time: how the verifier finds their credential, and what the kernel hears of them. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { ReplayCache } from '../../../src/controller/replay/replay-cache.js'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import { HintTable } from '../../../src/controller/verify/hint-table.js'
import type { PacketRotation } from '../../../src/knock/format.js'
import { KnockVerifier } from '../../../src/controller/verify/verifier.js'
import { PeriodRenewal } from '../../../src/controller/ruleset/period-renewal.js'
import type { KnockFormat } from '../../../src/knock/index.js'
import type { PeriodWords } from '../../../src/nft/index.js'
import { symmetric } from '../../../src/knock/pk1/symmetric.js'
import { credential } from '../config/config-support.js'
import { knock, knockPort, laptop, start, TestClock } from './knock-support.js'

const identityText = (byte: number) => `pk1:${Buffer.alloc(32, byte).toString('base64url')}`
const secretOf = (name: string, identity = 1) => ({
  identity: Buffer.alloc(32, identity),
  key: createHash('sha256').update(name).digest(),
})
const user = (name: string, identity = 1, part: Partial<PacketCredential> = {}): PacketCredential => {
  const secret = secretOf(name, identity)
  return { ...laptop, name, type: 'symmetric', secret, identity: symmetric.identityOf(secret), ...part }
}
let made = 0
const packet = (name: string, time = start, identity = 1, port = knockPort) => {
  const random = () => createHash('md5').update(String(made++)).digest()
  return symmetric.encode({ port, time, random }, secretOf(name, identity))
}

describe('the hints of a period', () => {
  /** A table of so many credentials that counts the hints it makes. */
  function tableOf(count: number) {
    const counts = { hints: 0 }
    const rotation = {
      ...symmetric.rotation,
      hintOf: (secret: never, time: number) => (counts.hints++, symmetric.rotation?.hintOf(secret, time) ?? ''),
    } as unknown as PacketRotation
    const format = symmetric as unknown as KnockFormat
    const table = new HintTable<{ format: KnockFormat; secret: unknown; name: string }>(format, rotation)
    for (let i = 0; i < count; i++) table.add({ format, secret: secretOf(`user ${i}`), name: `user ${i}` })
    const find = (name: string, time: number) => {
      const { buffer, payloadAt } = knock({ payload: packet(name, time) })
      return table.find(buffer, payloadAt, time)?.map(entry => entry.name)
    }
    return { table, counts, find }
  }
  // `start` is 20 s in its period.
  const turn = start + 10

  it('are made in parts before they are needed, and not by the packet after the turn', () => {
    const { table, counts, find } = tableOf(250)
    assert.deepEqual(find('user 249', start), ['user 249'])
    assert.equal(counts.hints, 3 * 250)
    const parts: number[] = []
    for (let isMore = true; isMore; parts.push(counts.hints)) isMore = table.prepare()
    assert.deepEqual(parts, [850, 950, 1000])
    assert.deepEqual(find('user 0', turn), ['user 0'])
    assert.deepEqual(find('user 7', turn + 30), ['user 7'])
    assert.equal(counts.hints, 1000 + 250, 'those of the second turn were not prepared')
    assert.equal(table.prepare(), true)
  })

  it('are all there, also where the turn comes before all are made, or the clock jumps', () => {
    for (const time of [turn, turn + 30, turn + 3000, start - 3000]) {
      const { table, find } = tableOf(120)
      assert.deepEqual(find('user 1', start), ['user 1'])
      table.prepare()
      for (const name of ['user 0', 'user 99', 'user 119']) assert.deepEqual(find(name, time), [name])
      while (table.prepare());
      for (const name of ['user 0', 'user 99', 'user 119']) assert.deepEqual(find(name, time + 60), [name])
    }
  })
})

describe('a verifier of symmetric knocks', () => {
  const clock = new TestClock()
  const verifier = (credentials: readonly PacketCredential[]) =>
    new KnockVerifier(structuredClone(credentials), ({ skew }) => new ReplayCache({ skew, entries: 99 }), clock)
  const outcome = (from: KnockVerifier, payload: Buffer) => {
    const decision = from.verify(knock({ payload }))
    return decision.kind === 'grant'
      ? decision.credential.name
      : decision.kind === 'refuse'
        ? decision.reason
        : 'to verify'
  }

  it('finds one of many users, beside PKD, and knows a replay', () => {
    const names = Array.from({ length: 200 }, (_, i) => `user-${i}`)
    const from = verifier([laptop, ...names.map(name => user(name))])
    for (const name of names) {
      const payload = packet(name)
      assert.equal(outcome(from, payload), name)
      assert.equal(outcome(from, payload), 'replayed')
    }
    const pkd = from.verify(knock())
    assert.equal(pkd.kind === 'grant' && pkd.credential.name, 'laptop')
  })

  const cases: readonly [string, () => Buffer, string][] = [
    ['for another server', () => packet('a', start, 9), 'unknown-tag'],
    ['of an unknown key', () => packet('z'), 'bad-hash'],
    ['for another port', () => packet('a', start, 1, knockPort + 1), 'bad-hash'],
    ['of two windows ago', () => packet('a', start - 70), 'unknown-tag'],
    ['of two windows ahead', () => packet('a', start + 90), 'unknown-tag'],
    // The window of the start began 20 s before it.
    ['of the window before', () => packet('a', start - 21), 'skewed'],
    ['of the window after', () => packet('a', start + 10), 'a'],
    ['a byte short', () => packet('a').subarray(1), 'malformed'],
    ['of a user of a second identity', () => packet('b', start, 2), 'b'],
    ['of a user whose key is that of two servers', () => packet('a', start, 2), 'a at another'],
    ['of a user who must knock elsewhere', () => packet('c'), 'wrong-port'],
  ]
  const users = [user('a'), user('b', 2), user('a', 2, { name: 'a at another' }), user('c', 1, { port: 7 })]
  for (const [name, payload, want] of cases) {
    it(`a knock ${name}: ${want}`, () => assert.equal(outcome(verifier(users), payload()), want))
  }

  it('goes on when time does, forward and back', () => {
    const moving = new TestClock()
    const from = new KnockVerifier([user('a')], ({ skew }) => new ReplayCache({ skew, entries: 99 }), moving)
    for (const time of [start, start + 29, start + 31, start + 3600, start + 3630, start + 86_400]) {
      moving.wall = time
      assert.equal(outcome(from, packet('a', time)), 'a', String(time - start))
    }
    moving.wall = start + 86_340
    assert.equal(outcome(from, packet('a', start + 86_345)), 'a')
  })

  it('takes each bit that is changed for another packet', () => {
    const from = verifier(users)
    const valid = packet('a')
    for (let bit = 0; bit < valid.length * 8; bit++) {
      const changed = Buffer.from(valid)
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.match(outcome(from, changed), bit < 32 ? /^unknown-tag$/ : /^bad-hash$/)
    }
    assert.equal(outcome(from, valid), 'a', 'and none of them changed anything')
  })
})

describe('the words of windows', () => {
  const phone = credential(`type: symmetric, opens: [s], key: "0x${'31'.repeat(32)}", identity: "${identityText(1)}"`)
  const watch = credential(`type: symmetric, opens: [s], key: "0x${'32'.repeat(32)}", identity: "${identityText(1)}"`)
  const pkd = credential('type: pkd, opens: [s], key: test')
  const log = { error: (message: string) => errors.push(message), warn: () => 0, info: () => 0, debug: () => 0 }
  const errors: string[] = []

  it('are told to the kernel at each turn, once for all users, and again after a failure', async t => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const told: (readonly PeriodWords[])[] = []
    let time = start
    let fails = false
    const firewall = {
      renewPeriods(words: readonly PeriodWords[]) {
        if (fails) return Promise.reject(new Error('nft is gone'))
        told.push(words)
        return Promise.resolve()
      },
    }
    const renewal = new PeriodRenewal(firewall, () => time * 1000, log)
    const pass = async (seconds: number) => {
      time += seconds
      t.mock.timers.tick(2000)
      await new Promise(resolve => setImmediate(resolve))
    }
    renewal.follow([phone, watch, pkd])
    await pass(2)
    assert.deepEqual(told, [], 'the packet path has been installed with them')
    await pass(30)
    const wordsOf = (at: number): PeriodWords => [
      symmetric.firstWord(secretOf('', 1), at),
      symmetric.rotation?.secondWord(secretOf('', 1), at) ?? 0,
    ]
    assert.deepEqual(told, [[wordsOf(time - 30), wordsOf(time), wordsOf(time + 30)]])
    fails = true
    await pass(30)
    await pass(2)
    assert.equal(errors.length, 1)
    assert.match(errors[0] ?? '', /cannot be updated: nft is gone/)
    fails = false
    await pass(2)
    assert.equal(told.length, 2)
    await pass(-60)
    assert.equal(told.length, 3, 'also when the clock was set back')
    renewal.stop()
    await pass(60)
    assert.equal(told.length, 3)
  })

  it('are none without such credentials, and no timer runs', t => {
    const timers = t.mock.method(globalThis, 'setInterval')
    new PeriodRenewal({ renewPeriods: () => assert.fail() }, () => 0, log).follow([pkd])
    assert.equal(timers.mock.callCount(), 0)
  })
})
