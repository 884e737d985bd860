import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { KnockTally } from '../../../src/controller/report/knock-tally.js'
import type { Observation } from '../../../src/controller/report/collect-metrics.js'
import { observe } from '../../../src/controller/report/collect-metrics.js'
import { exposition } from '../../../src/daemon/metrics/registry.js'
import { SharedText } from '../../../src/daemon/metrics/shared-text.js'

const selfTest = { result: 'failed', at: 5, passedAt: 4, seconds: 0.5, failures: 2 } as const
const grants = { comparedAt: 7, missing: 3, restored: 2, unknown: 1, changed: 0, byOthers: 5 }
const rest = {
  selfTest,
  notGranted: 0,
  grants,
  owned: false,
  signatures: 'off',
  credentials: 1,
  configuredAt: 1,
} as const
const parts = {
  worker: {
    report: () => Promise.resolve({ knocks: new KnockTally().report(), replay: { entries: 3, fullest: 0.5 } }),
  },
  counters: undefined,
  queue: undefined,
  drift: { restorations: 2, secondsChanged: 0.25, watched: true },
  rest,
}
const overview = {
  services: new Map(),
  queued: 9,
  unanswered: 4,
  ofOtherMinutes: 7,
  ofNoCredential: 5,
  release: '1.0.6',
}
const answers = { overview: () => Promise.resolve(overview) }
/** As the real one does: it rejects when who asked has left. */
const hangs = {
  overview: (left?: AbortSignal) =>
    new Promise<never>((_, reject) => {
      left?.addEventListener('abort', () => reject(new Error('left')))
    }),
}
const textOf = async (seen: Promise<Observation>) => exposition('1', await seen, false)

describe('a scrape', () => {
  it('has all that is known', async () => {
    const text = await textOf(observe(answers, parts, new AbortController().signal))
    for (const line of [
      'pkctl_scrape_error 0',
      'pkctl_queue_unanswered_total 4',
      'pkctl_wrong_minute_total 7',
      'pkctl_unknown_tag_total 5',
      'pkctl_heals_total 2',
      'pkctl_open_seconds_total 0.25',
      'pkctl_replay_fullest_ratio 0.5',
      'pkctl_selftest_passed 0',
      'pkctl_selftest_success_timestamp_seconds 4',
      'pkctl_selftest_failures_total 2',
      'pkctl_selftest_duration_seconds 0.5',
    ])
      assert.ok(text.includes(`\n${line}\n`), line)
    for (const unknown of ['pkctl_queue_waiting', 'pkctl_signatures_up'])
      assert.doesNotMatch(text, new RegExp(`^${unknown} `, 'm'), unknown)
  })

  it('has the rest when the kernel does not answer, and no zero for what is unknown', async () => {
    const left = new AbortController()
    const seen = observe(hangs, parts, left.signal)
    left.abort()
    const text = await textOf(seen)
    assert.match(text, /^pkctl_scrape_error 1$/m)
    assert.match(text, /^pkctl_heals_total 2$/m)
    assert.doesNotMatch(text, /^pkctl_(queue_unanswered|wrong_minute|unknown_tag)_total /m)
  })

  it('has the rest when the packet worker does not answer', async () => {
    const left = new AbortController()
    const seen = observe(answers, { ...parts, worker: { report: () => new Promise(() => undefined) } }, left.signal)
    left.abort()
    const text = await textOf(seen)
    assert.match(text, /^pkctl_scrape_error 1$/m)
    assert.match(text, /^pkctl_queue_unanswered_total 4$/m)
    assert.doesNotMatch(text, /^pkctl_replay_entries /m)
  })
})

describe('a text that all share', () => {
  it('is made once for all who ask, and again after a pause, also when it failed', async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.after(() => mock.timers.reset())
    let made = 0
    const shared = new SharedText(async () => {
      await Promise.resolve()
      if (++made === 1) throw new Error('first')
      return `text ${made}`
    })
    const asked = [shared.get(), shared.get()]
    for (const text of asked) await assert.rejects(text, /first/)
    await assert.rejects(shared.get(), /first/)
    mock.timers.tick(60_000)
    assert.deepEqual(await Promise.all([shared.get(), shared.get()]), ['text 2', 'text 2'])
    assert.equal(await shared.get(), 'text 2')
    mock.timers.tick(60_000)
    assert.equal(await shared.get(), 'text 3')
  })
})
