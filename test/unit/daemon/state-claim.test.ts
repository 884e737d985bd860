import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
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

  it('waits for no flock that is stopped', () => {
    fs.writeFileSync(path.join(directory, 'flock'), '#!/bin/sh\nkill -STOP $$\n', { mode: 0o755 })
    const module = fileURLToPath(new URL('../../../src/daemon/state-claim.js', import.meta.url))
    const script = `import { lockDirectory } from ${JSON.stringify(module)}; lockDirectory('${directory}')`
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, PATH: `${directory}:${process.env['PATH']}` },
      encoding: 'utf8',
      timeout: 300_000,
      killSignal: 'SIGKILL',
    })
    assert.equal(status, 1, 'it ends by itself')
    assert.match(stderr, /the state directory \S+ cannot be locked: .*ETIMEDOUT/)
  })

  it('makes a directory that is not there, and says what cannot be one', () => {
    const inner = path.join(directory, 'made', 'state')
    lockDirectory(inner)()
    assert.equal(fs.statSync(inner).mode & 0o777, 0o700)
    fs.writeFileSync(path.join(directory, 'file'), '')
    assert.throws(() => lockDirectory(path.join(directory, 'file')), /the state directory \S+ cannot be used: /)
  })
})
