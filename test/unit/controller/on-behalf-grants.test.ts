import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { GrantConfirmation } from '../../../src/controller/grants/grant-confirmation.js'
import { OnBehalfGrants } from '../../../src/controller/grants/on-behalf-grants.js'
import { Reporter } from '../../../src/controller/report/reporter.js'
import { service } from '../../support/firewall-tools.js'

const noRead = { grantByKnock: () => Promise.reject(new Error('not read')) }

/** The commands and the log of one after the other. */
function bench(refused?: Error, isAll = true) {
  const done: string[] = []
  const note = (line: string) => void done.push(line)
  const command = (line: string) => {
    note(line)
    return Promise.resolve() as never
  }
  const firewall = {
    addGrant: (service: string, _: 4 | 6, address: string, seconds: number | null) =>
      refused && service === 'web' ? Promise.reject(refused) : command(`add ${service} ${address} ${seconds}`),
  }
  const triggers = {
    opened: (_: string, address: string, seconds?: number | null) => {
      note(`opened ${address} ${seconds}`)
    },
    closed: (_: string, address: string) => {
      note(`closed ${address}`)
    },
  }
  const log = {
    error: (line: string) => {
      note(`error: ${line}`)
    },
    ...{ warn: note, info: note, debug: note },
  }
  const granted = [
    { service: service('ssh'), seconds: 60 },
    { service: service('web'), seconds: 600 },
  ]
  const failed = () => {
    note('counted')
  }
  // `isAll`: whether nothing of the credential runs on after a knock that closes.
  const closings = {
    begin: (_: string, address: string) => (services: readonly string[], onClosed?: (service: string) => void) => {
      if (address.startsWith('::ffff:')) {
        onClosed?.('ssh')
        return Promise.reject(new Error('never seen'))
      }
      note(`close ${services.join(' ')} of ${address}`)
      return Promise.resolve(isAll)
    },
  }
  const grants = new OnBehalfGrants(firewall, triggers, log, () => granted, closings, failed)
  // Without a read-back, the log says what the command has done.
  const reporter = new Reporter(log, () => granted, new GrantConfirmation(noRead, () => 5), grants)
  return { done, grants, reporter }
}

const settled = () => new Promise(resolve => setImmediate(resolve))

describe('grants by command', () => {
  const part = (services: string[], atMost?: number) => ({
    services,
    seconds: null,
    ...(atMost === undefined ? {} : { atMost }),
  })
  for (const [what, asked, want] of [
    ['all', undefined, ['add ssh 192.0.2.1 60', 'add web 192.0.2.1 600', 'opened 192.0.2.1 undefined']],
    ['a part', part(['web']), ['add web 192.0.2.1 600', 'opened 192.0.2.1 undefined']],
    [
      'all, for a time at most',
      part(['ssh', 'web'], 300),
      ['add ssh 192.0.2.1 60', 'add web 192.0.2.1 300', 'opened 192.0.2.1 300'],
    ],
    [
      'all, for a longer time',
      { ...part(['ssh', 'web'], 900), atLeast: 300 },
      ['add ssh 192.0.2.1 300', 'add web 192.0.2.1 600', 'opened 192.0.2.1 600'],
    ],
    ['nothing', part([]), []],
  ] as const) {
    it(`are of ${what}`, async () => {
      const { done, grants } = bench()
      void grants.request('staff', '192.0.2.1', asked)
      await settled()
      assert.deepEqual(done, want)
    })
  }

  it('are revoked in turn', async () => {
    const { done, grants } = bench()
    void grants.request('staff', '192.0.2.1', part(['ssh']))
    grants.revoke('staff', '192.0.2.1', part(['ssh']))
    await settled()
    assert.deepEqual(done, [
      'add ssh 192.0.2.1 60',
      'opened 192.0.2.1 undefined',
      'close ssh of 192.0.2.1',
      'closed 192.0.2.1',
    ])
  })

  it('are not followed by the command of on-close while another part of what was opened runs on', async () => {
    const { done, grants } = bench(undefined, false)
    grants.revoke('staff', '192.0.2.1', part(['ssh']))
    await settled()
    assert.deepEqual(done.splice(0), ['close ssh of 192.0.2.1'])
    grants.revoke('staff', '192.0.2.1')
    await settled()
    assert.deepEqual(done, ['close ssh web of 192.0.2.1', 'closed 192.0.2.1'])
  })

  it('fail at once where very many wait', async () => {
    const { done, grants } = bench()
    const lines = () => done.filter(line => line.startsWith('error')).length
    for (let i = 0; i < 1000; i++) void grants.request('staff', '192.0.2.1')
    await grants.request('staff', '192.0.2.2')
    assert.equal(lines(), 1)
    assert.match(done.find(line => line.startsWith('error')) ?? '', /^error: 192\.0\.2\.2 .*100 others were waiting/)
    await grants.settled()
    assert.equal(lines(), 901)
    await grants.request('staff', '192.0.2.3')
    assert.equal(lines(), 901, 'there is room again')
  })

  it('that could be revoked in part are named without those', async () => {
    const { done, grants } = bench()
    grants.revoke('staff', '::ffff:192.0.2.1')
    const outcome = await grants.outcome({ kind: 'revoke', credential: 'staff', address: '::ffff:192.0.2.1' })
    assert.deepEqual(outcome, { kind: 'failed', services: ['web'], reason: 'never seen' })
    assert.deepEqual(done, [])
  })

  it('go on after an address that the kernel never sees', async () => {
    const { done, grants } = bench()
    grants.revoke('staff', '::ffff:192.0.2.1')
    void grants.request('staff', '::ffff:192.0.2.1')
    void grants.request('staff', '192.0.2.2', part(['ssh']))
    await settled()
    assert.match(
      done.slice(0, 2).join('\n'),
      /^error: the grants of ::ffff:192\.0\.2\.1 could not be revoked.*\ncounted$/,
    )
    assert.match(done[2] ?? '', /^error: ::ffff:.* could not be granted/)
    assert.deepEqual(done.slice(3), ['add ssh 192.0.2.2 60', 'opened 192.0.2.2 undefined'])
  })
})

describe('what the log says of a knock that a command carries out', () => {
  const none = { unverified: 0, others: 0, grants: 0 }
  const event = { kind: 'grant', credential: 'staff', source: '192.0.2.7', port: 1 } as const
  const knock = 'knock by staff from 192.0.2.7'

  for (const [what, more, refused, want] of [
    [
      'on behalf, when it is made',
      { onBehalfOf: '192.0.2.1' },
      undefined,
      /opened 192.*\n.* on behalf of 192\.0\.2\.1 opens ssh for 60 s, web for 600 s$/,
    ],
    [
      'on behalf, and what fails',
      { onBehalfOf: '192.0.2.1' },
      new Error('the set is full'),
      /counted\nerror: knock .* on behalf of 192\.0\.2\.1 is valid, but pkctld has not opened web: the set is full$/,
    ],
    [
      'to another address as well, and what fails',
      { also: '192.0.2.1' },
      new Error('the set is full'),
      /counted\nerror: knock .* is valid, but pkctld has not opened web to 192\.0\.2\.1: the set is full$/,
    ],
  ] as const) {
    it(`is what was done: ${what}`, async () => {
      const { done, grants, reporter } = bench(refused)
      void grants.request('staff', '192.0.2.1')
      reporter.knocks([{ ...event, ...more }], none)
      assert.doesNotMatch(done.join('\n'), new RegExp(knock), 'nothing before it is done')
      await reporter.settled()
      assert.match(done.join('\n'), want)
      assert.doesNotMatch(done.join('\n'), /could not be granted/, 'each failure is told once')
    })
  }

  it('is what was closed, when it is', async () => {
    const { done, grants, reporter } = bench()
    grants.revoke('staff', '192.0.2.7')
    reporter.knocks([{ ...event, kind: 'revoke', byCommand: true }], none)
    await reporter.settled()
    assert.deepEqual(done.slice(-2), ['closed 192.0.2.7', `${knock} closes ssh, web`])
  })

  it('is that it is accepted, when the command takes too long; and its failure, when it fails', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const { done, grants, reporter } = bench(new Error('the set is full'))
    void grants.request('staff', '192.0.2.1')
    const outcome = grants.outcome({ kind: 'grant', credential: 'staff', address: '192.0.2.1' })
    mock.timers.tick(10_000)
    assert.deepEqual(await outcome, { kind: 'unknown' })
    await grants.settled()
    mock.timers.reset()
    assert.match(
      done.join('\n'),
      /error: 192\.0\.2\.1 could not be granted access on behalf, by staff: the set is full/,
    )
    reporter.knocks([{ ...event, onBehalfOf: '192.0.2.1' }], none)
    await reporter.settled()
    assert.match(done.at(-1) ?? '', / on behalf of 192\.0\.2\.1 is accepted for ssh/)
  })
})
