import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { restoreFiles } from '../../../src/safety/undo-files.js'

describe('files that are undone', () => {
  let directory: string
  let file: string
  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-undo-'))
    file = path.join(directory, 'keys')
  })
  afterEach(() => {
    fs.rmSync(directory, { recursive: true })
  })

  it('get the text that they had, and keep their mode', () => {
    fs.writeFileSync(file, 'new', { mode: 0o640 })
    restoreFiles([{ path: file, text: 'old', written: 'new' }])
    assert.deepEqual([fs.readFileSync(file, 'utf8'), fs.statSync(file).mode & 0o7777], ['old', 0o640])
    restoreFiles([{ path: file, text: null }])
    assert.equal(fs.existsSync(file), false)
  })

  it('keep what a user wrote meanwhile', () => {
    fs.writeFileSync(file, 'of a user')
    for (const text of ['old', null]) {
      restoreFiles([{ path: file, text, written: 'new' }])
      assert.equal(fs.readFileSync(file, 'utf8'), 'of a user')
    }
  })

  it('are left alone where nothing changed, and where a link is in their place', () => {
    fs.writeFileSync(file, 'old')
    const { ino } = fs.statSync(file)
    restoreFiles([{ path: file, text: 'old' }])
    assert.equal(fs.statSync(file).ino, ino)
    const link = path.join(directory, 'link')
    fs.symlinkSync(file, link)
    restoreFiles([{ path: link, text: 'older' }])
    assert.deepEqual([fs.lstatSync(link).isSymbolicLink(), fs.readFileSync(file, 'utf8')], [true, 'old'])
  })
})
