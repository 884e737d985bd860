import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { it } from 'node:test'
import { Textfile } from '../../../src/daemon/metrics/textfile.js'

it('a text file that cannot be removed keeps no daemon from its end', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-textfile-'))
  try {
    const failures: unknown[] = []
    new Textfile(
      directory,
      15,
      () => Promise.resolve(''),
      error => failures.push(error),
    ).stop()
    assert.equal(failures.length, 1)
  } finally {
    fs.rmSync(directory, { recursive: true })
  }
})
