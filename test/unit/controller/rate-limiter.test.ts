import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { RateLimiter } from '../../../src/controller/verify/rate-limiter.js'

const address4 = (...bytes: number[]) => Buffer.from(bytes)
const address6 = (hex: string) => Buffer.from(hex.replaceAll(' ', '').padEnd(32, '0'), 'hex')
const alice = address4(192, 0, 2, 1)
const bob = address4(192, 0, 2, 2)

describe('RateLimiter', () => {
  const tables: readonly (readonly [string, number, number, readonly (readonly [number, boolean])[]])[] = [
    [
      'one in 5 seconds',
      1,
      5,
      [
        [100, true],
        [100, false],
        [104.999, false],
        [105, true],
        [109.9, false],
        [110, true],
      ],
    ],
    [
      'two at once in 10 seconds',
      2,
      10,
      [
        [100, true],
        [100, true],
        [100, false],
        [104, false],
      ],
    ],
    [
      'three at once in 10 seconds',
      3,
      10,
      [
        [100, true],
        [100, true],
        [100, true],
        [100, false],
      ],
    ],
    [
      'its share is whole again after the time',
      3,
      10,
      [
        [0, true],
        [0, true],
        [0, true],
        [10, true],
        [10, true],
        [10, true],
        [10, false],
      ],
    ],
    [
      'its share fills again evenly',
      2,
      10,
      [
        [0, true],
        [0, true],
        [4.9, false],
        [5, true],
        [5, false],
        [10, true],
        [14, false],
        [20, true],
        [20, true],
        [20, false],
      ],
    ],
    [
      'a refused knock costs nothing',
      1,
      5,
      [
        [0, true],
        [1, false],
        [2, false],
        [3, false],
        [4, false],
        [5, true],
      ],
    ],
    [
      'a long pause gives no more than the share',
      2,
      10,
      [
        [0, true],
        [1000, true],
        [1000, true],
        [1000, false],
      ],
    ],
  ]
  for (const [name, count, seconds, steps] of tables) {
    it(name, () => {
      const limiter = new RateLimiter({ count, seconds })
      for (const [i, [now, want]] of steps.entries()) {
        assert.equal(limiter.take(4, alice, 0, now), want, `step ${i} at ${now}`)
      }
    })
  }

  it('gives a whole share at once at any time, whatever the rate', () => {
    const rate = fc.record({ count: fc.integer({ min: 1, max: 60 }), seconds: fc.integer({ min: 1, max: 3600 }) })
    const start = fc.double({ min: 0, max: 1e7, noNaN: true })
    fc.assert(
      fc.property(rate, start, (rate, start) => {
        const limiter = new RateLimiter(rate)
        for (let i = 0; i < rate.count; i++) assert.ok(limiter.take(4, alice, 0, start), `number ${i + 1} at ${start}`)
        assert.equal(limiter.take(4, alice, 0, start), false)
      }),
    )
  })

  it('never lets more through than a share at once, and what filled again meanwhile', () => {
    const rate = fc.record({ count: fc.integer({ min: 1, max: 6 }), seconds: fc.integer({ min: 1, max: 30 }) })
    const fraction = fc.double({ min: 0, max: 2, noNaN: true })
    const pauses = fc.array(fc.oneof(fc.constant(0), fc.nat(4), fc.nat(40), fraction), { maxLength: 80 })
    fc.assert(
      fc.property(rate, pauses, (rate, pauses) => {
        const limiter = new RateLimiter(rate)
        const passed: number[] = []
        let now = 0
        for (const pause of pauses) {
          now += pause
          if (limiter.take(4, alice, 0, now)) passed.push(now)
        }
        for (const [i, start] of passed.entries()) {
          const atOnce = passed.filter(time => time === start).length
          assert.ok(atOnce <= rate.count, `${atOnce} at ${start}`)
          for (const [more, end] of passed.slice(i).entries()) {
            const most = rate.count + Math.floor(((end - start) * rate.count) / rate.seconds) + 1
            assert.ok(more + 1 <= most, `${more + 1} from ${start} to ${end}: ${passed.join(', ')}`)
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it('never refuses whoever keeps to the pace, however late he comes', () => {
    const rate = fc.record({ count: fc.integer({ min: 1, max: 60 }), seconds: fc.integer({ min: 1, max: 3600 }) })
    const delays = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 20, noNaN: true })), { maxLength: 80 })
    fc.assert(
      fc.property(rate, delays, (rate, delays) => {
        const limiter = new RateLimiter(rate)
        for (let i = 1; i < rate.count; i++) assert.ok(limiter.take(4, alice, 0, 0))
        let now = 0
        for (const delay of delays) {
          assert.ok(limiter.take(4, alice, 0, now), `at ${now}`)
          now += rate.seconds / rate.count + delay
        }
      }),
    )
  })

  it('counts each source for itself', () => {
    const limiter = new RateLimiter({ count: 1, seconds: 5 })
    assert.deepEqual(
      [alice, bob, alice, bob].map(source => limiter.take(4, source, 0, 0)),
      [true, true, false, false],
    )
  })

  it('remembers a source for as long as its share is not whole, whenever others knock', () => {
    const limiter = new RateLimiter({ count: 1, seconds: 10 })
    const steps = [
      [bob, 0, true],
      [alice, 5, true],
      [bob, 11, true],
      [alice, 12, false],
      [alice, 15, true],
    ] as const
    for (const [source, now, want] of steps) assert.equal(limiter.take(4, source, 0, now), want, `at ${now}`)
  })

  it('reads the address at its offset', () => {
    const limiter = new RateLimiter({ count: 1, seconds: 5 })
    const both = Buffer.concat([bob, alice])
    assert.deepEqual(
      [limiter.take(4, both, 4, 0), limiter.take(4, alice, 0, 0), limiter.take(4, both, 0, 0)],
      [true, false, true],
    )
  })

  const sixes: readonly (readonly [string, string, string, boolean])[] = [
    ['one address', '2001:db8:0:1::1', '2001:db8:0:1::1', false],
    ['two addresses of one /64', '2001:db8:0:1::1', '2001:db8:0:1:ffff::2', false],
    ['two /64 of one /48', '2001:db8:0:1::1', '2001:db8:0:2::1', true],
    ['two /64 that differ in their first half', '2001:db8:0:1::1', '2001:db9:0:1::1', true],
  ]
  const bytesOf = (text: string) => {
    const [head = '', tail = ''] = text.split('::')
    const groups = (part: string) =>
      part
        .split(':')
        .filter(Boolean)
        .map(group => group.padStart(4, '0'))
        .join('')
    return address6(groups(head).padEnd(32 - groups(tail).length, '0') + groups(tail))
  }
  for (const [name, first, second, independent] of sixes) {
    it(`IPv6: ${name} ${independent ? 'count for themselves' : 'count together'}`, () => {
      const limiter = new RateLimiter({ count: 1, seconds: 5 })
      assert.ok(limiter.take(6, bytesOf(first), 0, 0))
      assert.equal(limiter.take(6, bytesOf(second), 0, 0), independent)
    })
  }

  it('an IPv4 source and an IPv6 one with the same bytes are two', () => {
    const limiter = new RateLimiter({ count: 1, seconds: 5 })
    assert.deepEqual([limiter.take(4, alice, 0, 0), limiter.take(6, address6('c0000201'), 0, 0)], [true, true])
  })
})
