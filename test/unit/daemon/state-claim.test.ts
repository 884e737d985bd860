import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { lockDirectory } from '../../../src/daemon/state-claim.js'

describe('the lock of the state directory', () => {
  let directory: string
  beforeEach(() => (directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-claim-'))))
  afterEach(() => fs.rmSync(directory, { recursive: true }))

  it('is for one at a time, leaves no file, and ends with the release', () => {
    const release = lockDirectory(directory)
    assert.throws(() => lockDirectory(directory), /^UserError: another pkctld uses the state directory \S+$/)
    assert.deepEqual(fs.readdirSync(directory), [])
    release()
    lockDirectory(directory)()
  })

  it('holds by whatever name the directory is reached', () => {
    const release = lockDirectory(directory)
    const link = `${directory}-link`
    fs.symlinkSync(directory, link)
    assert.throws(() => lockDirectory(link), /another pkctld/)
    fs.rmSync(link)
    release()
  })

  it('makes a directory that is not there, and says what cannot be one', () => {
    const inner = path.join(directory, 'made', 'state')
    lockDirectory(inner)()
    assert.equal(fs.statSync(inner).mode & 0o777, 0o700)
    fs.writeFileSync(path.join(directory, 'file'), '')
    assert.throws(() => lockDirectory(path.join(directory, 'file')), /the state directory \S+ cannot be used: /)
  })
})
