/** When grants are compared, and what becomes of what is different. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { GrantAudit } from '../../../src/controller/grants/grant-audit.js'
import { noDifferences } from '../../../src/nft/reconcile/compare-grants.js'
import type { GrantDifferences, RunningElement } from '../../../src/nft/index.js'

const grant = (source: string): RunningElement => ({ set: 'pk-ssh-4', source, life: { timeout: 60, left: 30 } })

describe('the comparison of grants', () => {
  let clock: number
  let begun: number[]
  let accepted: RunningElement[]
  let given: (readonly RunningElement[])[]
  let said: string[]
  let found: GrantDifferences | undefined
  let audit: GrantAudit

  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] })
    clock = 0
    mock.method(performance, 'now', () => clock)
    begun = []
    accepted = []
    given = []
    said = []
    found = noDifferences
    const say = (level: string) => (message: string) => void said.push(`${level}: ${message}`)
    audit = new GrantAudit({
      compare: () => {
        begun.push(clock)
        return Promise.resolve(found)
      },
      giveAgain: missing => Promise.resolve(given.push(missing)),
      accept: one => void accepted.push(one),
      log: { error: say('error'), warn: say('warn'), info: say('info'), debug: say('debug') },
      now: () => clock,
    })
    audit.start()
  })
  afterEach(() => {
    audit.stop()
    mock.restoreAll()
    mock.timers.reset()
  })

  async function pass(milliseconds: number): Promise<void> {
    for (const end = clock + milliseconds; clock < end;) {
      const step = Math.min(100, end - clock)
      clock += step
      mock.timers.tick(step)
      for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    }
  }

  it('comes each minute, and soon after changes, once for all of them', async () => {
    await pass(120_000)
    assert.deepEqual(begun, [60_000, 120_000])
    await pass(5_000)
    for (let change = 0; change < 5; change++) audit.soon()
    await pass(500)
    audit.soon()
    await pass(10_000)
    assert.deepEqual(begun.slice(2), [126_000])
    audit.stop()
    audit.soon()
    await pass(120_000)
    assert.equal(begun.length, 3)
  })

  it('comes every five seconds at most, however often grants change', async () => {
    for (let i = 0; i < 30; i++) {
      audit.soon()
      await pass(1000)
    }
    assert.ok(begun.length >= 4 && begun.length <= 6, String(begun))
  })

  it('comes less often where there are very many grants, however often they change', async () => {
    found = { ...noDifferences, compared: 100_000 }
    for (let i = 0; i < 7; i++) {
      audit.soon()
      await pass(100_000)
    }
    const pauses = begun.slice(1).map((time, i) => time - (begun[i] ?? 0))
    assert.ok(begun.length >= 3)
    for (const pause of pauses) assert.ok(pause >= 200_000, String(pauses))
  })

  it('gives again what is missing, keeps what is not known, and says and counts both', async () => {
    found = { compared: 3, missing: [grant('192.0.2.1')], unknown: [grant('192.0.2.2')], changed: [grant('192.0.2.3')] }
    await pass(60_000)
    assert.deepEqual(given, [[grant('192.0.2.1')]])
    assert.deepEqual(accepted, [grant('192.0.2.2'), grant('192.0.2.3')])
    assert.deepEqual(audit.counts, { comparedAt: 60, missing: 1, restored: 1, unknown: 1, changed: 1 })
    assert.deepEqual(said, [
      'warn: the kernel lacks 1 grant: 192.0.2.1 for ssh; restored: 1',
      'warn: the kernel has 1 grant that pkctld does not know: 192.0.2.2 for ssh; it stays',
      'warn: another program changed when 1 grant ends: 192.0.2.3 for ssh; pkctld keeps the new end',
    ])
  })

  it('names several whose end was changed', async () => {
    found = { ...noDifferences, changed: [grant('192.0.2.3'), grant('192.0.2.4')] }
    await pass(60_000)
    const names = '192.0.2.3 for ssh, 192.0.2.4 for ssh'
    assert.deepEqual(said, [`warn: another program changed when 2 grants end: ${names}; pkctld keeps the new end`])
  })

  it('says nothing where nothing is different, or it cannot be said', async () => {
    await pass(60_000)
    assert.equal(audit.counts.comparedAt, 60)
    found = undefined
    await pass(60_000)
    assert.deepEqual([audit.counts.comparedAt, begun.length, said], [60, 2, []])
  })
})
