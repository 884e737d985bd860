import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OnBehalfGrants } from '../../../src/controller/grants/on-behalf-grants.js'

/** The commands and the log of one after the other. */
function bench() {
  const done: string[] = []
  const note = (line: string) => void done.push(line)
  const command = (line: string) => {
    note(line)
    return Promise.resolve() as never
  }
  const firewall = {
    addGrant: (service: string, _: 4 | 6, address: string, seconds: number | null) =>
      command(`add ${service} ${address} ${seconds}`),
    deleteGrant: (service: string, _: 4 | 6, address: string) => command(`delete ${service} ${address}`),
  }
  const triggers = {
    opened: (_: string, address: string, seconds?: number | null) => {
      note(`opened ${address} ${seconds}`)
    },
    closed: (_: string, address: string) => {
      note(`closed ${address}`)
    },
  }
  const log = { error: note, warn: note, info: note, debug: note }
  const granted = [
    { service: { name: 'ssh' }, seconds: 60 },
    { service: { name: 'web' }, seconds: 600 },
  ]
  return { done, grants: new OnBehalfGrants(firewall, triggers, log, () => granted) }
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
    ['nothing', part([]), []],
  ] as const) {
    it(`are of ${what}`, async () => {
      const { done, grants } = bench()
      grants.request('staff', '192.0.2.1', asked)
      await settled()
      assert.deepEqual(done, want)
    })
  }

  it('are revoked in turn', async () => {
    const { done, grants } = bench()
    grants.request('staff', '192.0.2.1', part(['ssh']))
    grants.revoke('staff', '192.0.2.1', part(['ssh']))
    await settled()
    assert.deepEqual(done, [
      'add ssh 192.0.2.1 60',
      'opened 192.0.2.1 undefined',
      'delete ssh 192.0.2.1',
      'closed 192.0.2.1',
    ])
  })

  it('go on after an address that the kernel never sees', async () => {
    const { done, grants } = bench()
    grants.revoke('staff', '::ffff:192.0.2.1')
    grants.request('staff', '::ffff:192.0.2.1')
    grants.request('staff', '192.0.2.2', part(['ssh']))
    await settled()
    assert.match(
      done.slice(0, 2).join('\n'),
      /^the grants of ::ffff:192\.0\.2\.1 could not be revoked.*\n::ffff:.* could not be granted/,
    )
    assert.deepEqual(done.slice(2), ['add ssh 192.0.2.2 60', 'opened 192.0.2.2 undefined'])
  })
})
