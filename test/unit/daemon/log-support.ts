/** A directory for a log, and what is written to stderr meanwhile: for the tests of one `describe`. */
import fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, mock } from 'node:test'

interface LogSetUp {
  directory: string
  said: string
}

/** To be called in a `describe`; the fields are new for each test. */
export function logSetUp(): LogSetUp {
  const setUp: LogSetUp = { directory: '', said: '' }
  beforeEach(() => {
    setUp.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-log-'))
    setUp.said = ''
    mock.method(process.stderr, 'write', (text: string) => {
      setUp.said += text
      return true
    })
  })
  afterEach(() => {
    mock.restoreAll()
    fs.rmSync(setUp.directory, { recursive: true })
  })
  return setUp
}
