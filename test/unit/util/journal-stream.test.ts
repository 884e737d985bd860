import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it, mock } from 'node:test'
import { createLog } from '../../../src/daemon/winston-log.js'
import { isJournal, withPriority } from '../../../src/util/index.js'

describe('the journal', () => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-journal-')), 'stream')
  const descriptor = fs.openSync(file, 'w')
  after(() => fs.rmSync(path.dirname(file), { recursive: true }))
  const { dev, ino } = fs.fstatSync(descriptor)

  it('is the stream of $JOURNAL_STREAM and no other', () => {
    assert.ok(isJournal(descriptor, `${dev}:${ino}`))
    for (const other of [undefined, '', `${dev}:${ino + 1}`, `${dev}`]) assert.ok(!isJournal(descriptor, other))
    assert.ok(!isJournal(12_345, `${dev}:${ino}`))
  })

  it('gets a priority before each line', () => {
    assert.equal(withPriority('warn', 'one\ntwo\n'), '<4>one\n<4>two\n')
    assert.equal(withPriority('error', 'pkctl: error: no\n'), '<3>pkctl: error: no\n')
  })

  it('gets sentences with their priority and no second time from the log of the daemon', async () => {
    const { dev, ino } = fs.fstatSync(2)
    const lines: string[] = []
    process.env['JOURNAL_STREAM'] = `${dev}:${ino}`
    const written = mock.method(process.stderr, 'write', (text: string) => lines.push(text) > 0)
    try {
      const log = createLog({ level: 'info', to: 'console', format: 'auto' })
      log.warn('a warning\nof two lines')
      log.info('knock from 192.0.2.1', { source: '192.0.2.1' })
      log.debug('not told')
      await log.close()
    } finally {
      written.mock.restore()
      Reflect.deleteProperty(process.env, 'JOURNAL_STREAM')
    }
    assert.equal(lines.join(''), '<4>a warning\n<4>of two lines\n<6>knock from 192.0.2.1\n')
  })
})
