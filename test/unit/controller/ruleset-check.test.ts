import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { RulesetCheck } from '../../../src/controller/ruleset/ruleset-check.js'

describe('RulesetCheck', () => {
  let now: number
  let check: RulesetCheck
  let compares: boolean
  let comparisons: number
  let restarts: string[]
  let reports: () => Promise<boolean>

  beforeEach(() => {
    now = 0
    compares = true
    comparisons = 0
    restarts = []
    reports = () => Promise.resolve(true)
    mock.timers.enable({ apis: ['setInterval'] })
    mock.method(performance, 'now', () => now)
    check = new RulesetCheck({
      compare: () => {
        comparisons++
        if (compares) check.compared()
      },
      monitorReports: () => reports(),
      restartMonitor: reason => void restarts.push(reason),
    })
    check.start()
  })
  afterEach(() => {
    check.stop()
    mock.timers.reset()
    mock.restoreAll()
  })

  async function pass(seconds: number): Promise<void> {
    for (let gone = 0; gone < seconds; gone++) {
      now += 1000
      mock.timers.tick(1000)
      for (let i = 0; i < 5; i++) await Promise.resolve()
    }
  }

  it('compares again and again, and finds no problem where all works', async () => {
    await pass(600)
    assert.equal(comparisons, 60)
    assert.deepEqual([check.problem, restarts], [undefined, []])
  })

  it('replaces a monitor that reports nothing, at the second time', async () => {
    reports = () => Promise.resolve(false)
    await pass(10)
    assert.deepEqual(restarts, [])
    await pass(10)
    assert.deepEqual(restarts, ['it does not report what changes'])
    reports = () => Promise.resolve(true)
    await pass(100)
    assert.equal(restarts.length, 1)
    assert.equal(check.problem, undefined)
  })

  it('one late report is none', async () => {
    let late = true
    reports = () => Promise.resolve((late = !late))
    await pass(300)
    assert.deepEqual([restarts, check.problem], [[], undefined])
  })

  it('finds a problem after a minute without a comparison, and none when there is one again', async () => {
    compares = false
    await pass(60)
    assert.equal(check.problem, undefined)
    await pass(10)
    assert.equal(check.problem, 'the ruleset could not be compared for 70 s')
    compares = true
    await pass(10)
    assert.equal(check.problem, undefined)
  })

  it('finds a problem in a monitor that never reports, however often it is replaced', async () => {
    reports = () => Promise.resolve(false)
    await pass(70)
    assert.equal(check.problem, 'nft monitor has reported nothing for 70 s')
  })

  it('asks nft once at a time, and compares all the same', async () => {
    let asked = 0
    reports = () => {
      asked++
      return new Promise(() => undefined)
    }
    await pass(100)
    assert.deepEqual([asked, comparisons], [1, 10])
  })

  it('an nft that fails says nothing of the monitor, until it takes too long', async () => {
    reports = () => Promise.reject(new Error('no table'))
    await pass(60)
    assert.deepEqual([restarts, check.problem], [[], undefined])
    await pass(10)
    assert.match(check.problem ?? '', /nft monitor/)
  })
})
