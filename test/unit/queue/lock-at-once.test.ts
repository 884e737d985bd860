import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { lockAtOnce } from '../../../src/queue/lock-at-once.js'

describe('lockAtOnce', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-lock-'))
  const file = path.join(directory, 'lock')
  after(() => fs.rmSync(directory, { recursive: true }))

  const lockedForOthers = () => spawnSync('flock', ['--nonblock', file, 'true']).status !== 0

  it('locks a file that is free, also for flock(1), until it is closed', () => {
    const descriptor = fs.openSync(file, 'w')
    const locked = lockAtOnce(descriptor)
    const before = lockedForOthers()
    fs.closeSync(descriptor)
    assert.deepEqual([locked, before, lockedForOthers()], [true, true, false])
  })

  it('does not wait for one that is not free', () => {
    const [one, other] = [fs.openSync(file, 'w'), fs.openSync(file, 'w')]
    assert.deepEqual([lockAtOnce(one), lockAtOnce(other)], [true, false])
    fs.closeSync(one)
    fs.closeSync(other)
  })

  it('does not lock what is not open', () => {
    assert.equal(lockAtOnce(-1), false)
  })
})
