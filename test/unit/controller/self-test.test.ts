import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import type { ActiveCredential } from '../../../src/controller/verify/active-credentials.js'
import { Counters } from '../../../src/controller/report/answer-counters.js'
import type { LoopbackSocket } from '../../../src/controller/self-test/loopback.js'
import { newToken, OwnDatagrams, ownPayload } from '../../../src/controller/self-test/own-datagrams.js'
import type { SelfTestReport } from '../../../src/controller/self-test/result.js'
import { SelfTest } from '../../../src/controller/self-test/self-test.js'
import { selfTestTargets } from '../../../src/controller/self-test/targets.js'
import type { Overview } from '../../../src/nft/index.js'
import { load } from '../config/config-support.js'
import { decode, ipv4, udp } from '../queue/build-packet.js'

const token = newToken()
const now = 1_700_000_000

function active(credentials: string): ActiveCredential[] {
  const yaml = `services: { ssh: { port: 22 } }\ncredentials:\n${credentials}`
  return load(yaml).config.credentials.map((credential): ActiveCredential => {
    if (credential.type === 'sequence') return { kind: 'steps', credential, steps: credential.steps, revokes: false }
    return { kind: 'packet', credential, revokes: false } as ActiveCredential
  })
}

const pkd = '  a: { type: pkd, tag: SSHK, key: test, opens: [ssh] }'

describe('where a self-test knocks', () => {
  const targets = (credentials: string) =>
    selfTestTargets(active(credentials), token, now).map(({ start, payloadLength, port }) => [
      Buffer.from(start).toString('latin1'),
      payloadLength,
      port,
    ])
  const tokenStart = Buffer.from(token.subarray(0, 4)).toString('latin1')

  it('once for each port and length by which the kernel knows knocks', () => {
    const others = ['b', 'c'].map(name => `  ${name}: { type: pkd, tag: TAG${name}, key: x, opens: [ssh], port: 4000 }`)
    assert.deepEqual(targets([pkd, ...others].join('\n')), [
      ['SSHK', 56, 62_201],
      ['TAGb', 56, 4000],
    ])
  })

  it('by a shape of its own where knocks are sequences, or come by other interfaces; not where there are none', () => {
    assert.deepEqual(targets('  a: { type: sequence, sequence: [7000, 7001], opens: [ssh] }'), [
      [tokenStart, 44, 62_201],
    ])
    assert.deepEqual(targets(pkd.replace('}', ', interface: eth0 }')), [[tokenStart, 44, 62_201]])
    assert.deepEqual(selfTestTargets([], token, now), [])
  })
})

describe('the own datagrams', () => {
  const source = [127, 80, 75, 1]
  const payload = ownPayload({ start: Buffer.from('SSHK'), payloadLength: 56, number: 7 }, token)
  const seenOf = (packet: Parameters<typeof ipv4>) => {
    const seen: number[][] = []
    const own = new OwnDatagrams(token, numbers => seen.push([...numbers]))
    const takes = own.takes(decode(ipv4(...packet)))
    own.tell()
    own.tell()
    return { takes, seen }
  }

  it('are known by their token and the address of this machine, and told once', () => {
    assert.deepEqual(seenOf([udp({ payload }), { source }]), { takes: true, seen: [[7]] })
  })

  it('are not those of strangers, whatever they contain', () => {
    const others = Buffer.from(payload)
    others[55] = (others[55] as number) ^ 1
    const nothing = { takes: false, seen: [] }
    assert.deepEqual(seenOf([udp({ payload }), { source: [192, 0, 2, 1] }]), nothing)
    assert.deepEqual(seenOf([udp({ payload }), { source: [127, 0, 0, 1] }]), nothing)
    assert.deepEqual(seenOf([udp({ payload: others }), { source }]), nothing)
    assert.deepEqual(seenOf([udp({ payload: payload.subarray(0, 20) }), { source }]), nothing)
  })
})

describe('a self-test', () => {
  /** What becomes of datagrams: the kernel's counters, and whether the packet worker sees them. */
  interface Way {
    isQueued: boolean
    isPassedBy: boolean
    isSeen: boolean
    answersPings: boolean
    answersOthers: boolean
    nft: 'answers' | 'hangs'
    hearsOthers: boolean
    refusesToSend: string | undefined
  }
  const good: Way = {
    ...{ isQueued: true, isPassedBy: false, isSeen: true, answersPings: true, answersOthers: false },
    ...{ nft: 'answers', hearsOthers: true, refusesToSend: undefined },
  }
  let way: Way
  let problem: string | undefined
  let isNative: boolean
  let credentials: ActiveCredential[]
  let counters: Counters
  const counts = { queued: 0, unanswered: 0 }
  let logged: string[]
  let changes: string[]
  let test: SelfTest

  const send = (onMessage: (payload: Uint8Array) => void): LoopbackSocket['send'] => {
    return (payload, port) => {
      if (way.refusesToSend) return Promise.reject(Object.assign(new Error('send'), { code: way.refusesToSend }))
      if (port === 9) {
        if (way.hearsOthers) onMessage(payload)
        return Promise.resolve()
      }
      if (way.isQueued) counts.queued++
      if (way.isPassedBy) counts.unanswered++
      if (way.answersOthers) counters.add('bad-hash')
      const own = new OwnDatagrams(token, numbers => {
        test.seen(numbers)
      })
      if (way.isSeen) {
        own.takes(decode(ipv4(udp({ payload: Buffer.from(payload) }), { source: [127, 80, 75, 1] })))
        own.tell()
      }
      return Promise.resolve()
    }
  }

  beforeEach(() => {
    mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
    way = { ...good }
    problem = undefined
    isNative = true
    credentials = active(pkd)
    counters = new Counters()
    logged = []
    changes = []
    const say = (message: string) => void logged.push(message)
    test = new SelfTest({
      token,
      openLoopback: (_, onMessage) => Promise.resolve({ port: 9, send: send(onMessage), close: () => undefined }),
      firewall: {
        overview: () =>
          way.nft === 'hangs'
            ? Promise.reject(new Error('nft list was killed'))
            : Promise.resolve({ ...counts } as unknown as Overview),
      },
      worker: () => ({
        counters,
        ping: () => (way.answersPings ? Promise.resolve() : new Promise(() => undefined)),
      }),
      active: () => credentials,
      queue: () => ({ number: 62, native: isNative }),
      queueStatistics: () => undefined,
      rulesetProblem: () => problem,
      log: { error: say, warn: say, info: say, debug: say },
      now: () => now * 1000,
      onChange: ({ result }) => changes.push(result),
    })
  })
  afterEach(() => {
    test.stop()
    mock.timers.reset()
  })

  /** Lets time go by until the test has ended. */
  async function ended(): Promise<SelfTestReport> {
    for (let i = 0; i < 60; i++) {
      await new Promise(setImmediate)
      mock.timers.tick(500)
    }
    return test.report
  }
  /** The next one, after the way has become another. */
  async function next(change: Partial<Way>): Promise<SelfTestReport> {
    way = { ...good, ...change }
    mock.timers.tick(60_000)
    return ended()
  }

  it('passes at once, and says so once', async () => {
    test.follow(60)
    assert.equal(test.report.result, 'waiting')
    const { result, passedAt, failures } = await ended()
    assert.deepEqual([result, passedAt, failures], ['passed', now, 0])
    await next({})
    assert.deepEqual(changes, ['passed'])
    assert.deepEqual(logged, ['the self-test passed: knocks arrive'])
  })

  const faults: readonly [string, Partial<Way>, string, RegExp][] = [
    [
      'a rule that eats knocks',
      { isSeen: false, isQueued: false },
      'rules',
      /^knocks to 62201\/udp are dropped before/,
    ],
    ['a reader that stands still', { isSeen: false, answersPings: false }, 'reader', /does not answer$/],
    ['a reader that does not read', { isSeen: false }, 'reader', /reads no packet of queue 62$/],
    ['a full queue without a reader', { isSeen: false, isPassedBy: true }, 'reader', /reads no packet/],
    ['a full queue', { isSeen: false, isPassedBy: true, answersOthers: true }, 'queue', /^queue 62 is full/],
    ['a broken way and a dead nft', { isSeen: false, nft: 'hangs' }, 'nft', /nft list was killed/],
  ]
  for (const [what, broken, cause, because] of faults) {
    it(`finds ${what}, says so once, and says when it is over`, async () => {
      test.follow(60)
      await ended()
      await next(broken)
      const failed = await next(broken)
      assert.deepEqual([failed.result, failed.cause, failed.failures], ['failed', cause, 2])
      assert.match(failed.because ?? '', because)
      // Only what a new start may help with, and only where it has worked since this one.
      assert.equal(test.isForRestart, cause === 'reader')
      assert.equal((await next({})).result, 'passed')
      assert.deepEqual(changes, ['passed', 'failed', 'passed'])
      assert.equal(logged.filter(line => line.startsWith('the self-test failed: ')).length, 1)
      assert.match(logged.at(-1) ?? '', /passes again/)
    })
  }

  it('that is turned off after a failure says so, and one at another interval still has failed', async () => {
    test.follow(60)
    await ended()
    await next({ isSeen: false })
    test.follow(120)
    assert.equal(test.report.result, 'failed')
    await ended()
    test.follow(null)
    assert.deepEqual(changes, ['passed', 'failed', 'off'])
  })

  it('finds the missing rule of iptables-nft', async () => {
    isNative = false
    test.follow(60)
    const { cause } = await next({ isSeen: false, isPassedBy: true })
    assert.equal(cause, 'queue')
  })

  it('finds that nft is dead, though knocks arrive', async () => {
    problem = 'the ruleset could not be compared for 50 s'
    test.follow(60)
    const { result, cause, because } = await ended()
    assert.deepEqual([result, cause, because], ['failed', 'nft', problem])
  })

  it('does not ask for a restart where it never worked', async () => {
    way = { ...good, isSeen: false }
    test.follow(60)
    assert.equal((await ended()).cause, 'reader')
    assert.equal(test.isForRestart, false)
  })

  it('is not possible where nothing comes by the loopback interface, and says so once', async () => {
    way = { ...good, isSeen: false, isQueued: false, hearsOthers: false }
    test.follow(60)
    const { result, because, failures } = await ended()
    assert.deepEqual([result, failures], ['impossible', 0])
    assert.match(because ?? '', /a rule drops what comes by the loopback interface/)
    await next(way)
    assert.equal(logged.length, 1)
    // Where it has passed before, the same is a fault.
    await next({})
    assert.equal((await next({ isSeen: false, isQueued: false, hearsOthers: false })).cause, 'rules')
  })

  it('is not possible where nothing can be sent, with the reason', async () => {
    for (const [code, reason] of [
      ['EPERM', /refuses what pkctld sends/],
      ['EAFNOSUPPORT', /RestrictAddressFamilies/],
      ['ENETUNREACH', /the loopback interface is down/],
    ] as const) {
      way = { ...good, refusesToSend: code }
      test.follow(60)
      const { result, because } = await ended()
      assert.equal(result, 'impossible')
      assert.match(because ?? '', reason)
      test.follow(null)
      assert.equal(test.report.result, 'off')
    }
  })

  it('is off where nothing can be knocked', async () => {
    credentials = []
    test.follow(60)
    assert.equal((await ended()).result, 'off')
    assert.deepEqual([logged, changes], [[], ['off']])
  })
})
