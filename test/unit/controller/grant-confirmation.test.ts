import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import type { Grants } from '../../../src/controller/grants/grant-confirmation.js'
import { GrantConfirmation } from '../../../src/controller/grants/grant-confirmation.js'
import { Reporter } from '../../../src/controller/report/reporter.js'
import { service } from '../../support/firewall-tools.js'

const none = { unverified: 0, others: 0, grants: 0 }
const grants: Grants = ['ssh', 'web'].map(name => ({ service: service(name), seconds: 60 }))
const event = { kind: 'grant', credential: 'laptop', source: '192.0.2.1', port: 1 } as const

/** A kernel that has grants of these services, all with so many seconds left. */
function bench(there: readonly string[] | Error, left?: number) {
  const lines: string[] = []
  const write = (level: string) => (message: string) => void lines.push(`${level}: ${message}`)
  const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  let reads = 0
  const grantByKnock = ({ name }: { readonly name: string }, _: 4 | 6, source: string) => {
    reads++
    if (there instanceof Error) return Promise.reject(there)
    return Promise.resolve(there.includes(name) ? { set: name, source } : undefined)
  }
  const confirmation = new GrantConfirmation(
    { grantByKnock },
    () => 5,
    undefined,
    () => left,
  )
  const reporter = new Reporter(log, () => grants, confirmation, {
    outcome: () => Promise.resolve({ kind: 'unknown' }),
  })
  return { lines, confirmation, reporter, reads: () => reads }
}

describe('what the log says of an accepted knock', () => {
  it('is that it opens, when the kernel has its grants', async () => {
    const { lines, reporter } = bench(['ssh', 'web'])
    reporter.knocks([event], none)
    await reporter.settled()
    assert.deepEqual(lines, ['info: knock by laptop from 192.0.2.1 opens ssh for 60 s, web for 60 s'])
  })

  it('is which service the kernel has not opened', async () => {
    const { lines, reporter, confirmation } = bench(['ssh'])
    reporter.knocks([event], none)
    await reporter.settled()
    assert.match(lines.join(), /^error: knock by laptop from 192.0.2.1 is valid, but the kernel has not opened web: /)
    assert.equal(confirmation.missing, 1)
  })

  for (const [left, want] of [
    [58, /^info: .* opens ssh for 60 s, web for 60 s$/],
    [Infinity, /^info: .* opens ssh for 60 s/],
    [20.5, /^error: .* is valid, but the kernel has not extended the grant for ssh, web, which runs for 20 s: /],
  ] as const) {
    it(`counts on what the kernel has, with ${left} s left`, async () => {
      const { lines, reporter, confirmation } = bench(['ssh', 'web'], left)
      reporter.knocks([event], none)
      await reporter.settled()
      assert.match(lines.join(), want)
      assert.equal(confirmation.missing, left < 30 ? 1 : 0)
    })
  }

  it('does not claim what could not be read', async () => {
    const { lines, reporter, confirmation } = bench(new Error('nft does not answer'))
    reporter.knocks([event], none)
    await reporter.settled()
    assert.match(lines.join(), /^info: .* is accepted for ssh for 60 s/)
    assert.deepEqual([confirmation.missing, confirmation.unchecked], [0, 1])
  })

  it('costs a bounded number of reads, and keeps the order of events', async () => {
    const { lines, reporter, reads, confirmation } = bench(['ssh', 'web'])
    const refused = { ...event, kind: 'refuse', reason: 'replayed' } as const
    const sources = Array.from({ length: 40 }, (_, i) => ({ ...event, source: `192.0.2.${i}` }))
    reporter.knocks([...sources, refused], none)
    await reporter.settled()
    assert.equal(reads(), 40)
    assert.equal(confirmation.unchecked, 20)
    assert.equal(lines.length, 41)
    assert.match(lines[0] ?? '', /opens/)
    assert.match(lines[39] ?? '', /is accepted for/)
    assert.match(lines[40] ?? '', /replayed/)
    reporter.knocks([refused], none)
    assert.equal(lines.length, 42, 'where nothing waits, at once')
    reporter.knocks([refused], { ...none, others: 9, grants: 7 })
    assert.equal(confirmation.unchecked, 27, 'and those that nothing is told of')
  })

  it('is read once for the log and for commands', async () => {
    const { confirmation, reads } = bench(['ssh'])
    const [first, second] = await Promise.all(
      [true, false].map(counts => confirmation.confirm('192.0.2.1', grants, counts)),
    )
    assert.deepEqual(first, { kind: 'missing', services: ['web'] })
    assert.deepEqual(second, first)
    assert.deepEqual([reads(), confirmation.missing], [3, 1], 'and once more what was missing')
    await confirmation.confirm('192.0.2.1', grants)
    assert.equal(reads(), 6, 'another knock is read again')
  })

  it('does not wait for an nft that hangs', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const confirmation = new GrantConfirmation({ grantByKnock: () => new Promise(() => undefined) }, () => 5)
    const confirmed = confirmation.confirm('192.0.2.1', grants)
    mock.timers.tick(10_000)
    assert.deepEqual(await confirmed, { kind: 'unknown' })
    mock.timers.reset()
  })
})
