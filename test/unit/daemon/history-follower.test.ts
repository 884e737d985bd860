import assert from 'node:assert/strict'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { HistoryFollower } from '../../../src/daemon/history-follower.js'

describe('who follows the history', () => {
  let directory: string
  let follower: HistoryFollower
  const file = (name = 'history') => path.join(directory, name)
  const line = (message: string, time = new Date().toISOString()) =>
    `${JSON.stringify({ time, level: 'info', message })}\n`
  const news = () => follower.newEntries().map(({ message }) => message)

  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-follower-'))
    fs.writeFileSync(file(), line('before'))
    follower = new HistoryFollower(directory)
  })
  afterEach(() => {
    mock.restoreAll()
    syncBuiltinESMExports()
    follower.close()
    fs.rmSync(directory, { recursive: true })
  })

  it('sees what is added to either file, whatever the clock says, once, and lines when they are whole', () => {
    assert.deepEqual(news(), [])
    fs.appendFileSync(file(), line('earlier', '2001-01-01T00:00:00.000Z'))
    fs.appendFileSync(file('history-unverified'), line('by a stranger') + '{"time":"20')
    assert.deepEqual(news(), ['earlier', 'by a stranger'])
    fs.appendFileSync(file('history-unverified'), line('x').slice('{"time":"20'.length))
    assert.deepEqual(news(), ['x'])
    assert.deepEqual(news(), [])
  })

  it('misses nothing when a full file gives way to a new one', () => {
    fs.appendFileSync(file(), line('last of the old'))
    fs.renameSync(file(), file('history.old'))
    fs.writeFileSync(file(), line('first of the new'))
    assert.deepEqual(news(), ['last of the old', 'first of the new'])
    fs.rmSync(file())
    assert.deepEqual(news(), [])
    fs.writeFileSync(file(), line('made again'))
    assert.deepEqual(news(), ['made again'])
  })

  it('reads only what is new', () => {
    fs.appendFileSync(file(), line('x'.repeat(100_000)))
    news()
    const read = mock.method(fs, 'readSync')
    syncBuiltinESMExports()
    fs.appendFileSync(file(), line('short'))
    assert.deepEqual(news(), ['short'])
    const bytes = read.mock.calls.reduce((sum, { result }) => sum + Number(result), 0)
    assert.equal(bytes, line('short').length)
  })
})
