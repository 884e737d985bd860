import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import * as path from 'node:path'
import { describe, it } from 'node:test'
import { createLog } from '../../../src/daemon/winston-log.js'
import { logSetUp } from './log-support.js'

describe('a log whose file cannot be opened', () => {
  const setUp = logSetUp()
  const to = (file: string) => ({ level: 'info', to: { file }, format: 'text' }) as const

  it('goes to stderr, and says so first', async () => {
    const log = createLog(to(path.join(setUp.directory, 'none/log')))
    log.info('ready')
    await log.close()
    const [first = '', second = ''] = setUp.said.split('\n')
    assert.match(first, /warn .*none\/log cannot be opened: ENOENT.*; messages go to the standard error instead$/)
    assert.match(second, /info .*ready$/)
  })

  it('is not waited for, if it is a pipe that no program reads', async () => {
    const pipe = path.join(setUp.directory, 'pipe')
    execFileSync('mkfifo', [pipe])
    await createLog(to(pipe)).close()
    assert.match(setUp.said, /pipe cannot be opened: ENXIO/)
  })

  it('and then can, is written after a reload; one that cannot any more does not refuse it', async () => {
    const file = path.join(setUp.directory, 'new/log')
    const log = createLog(to(file))
    fs.mkdirSync(path.dirname(file))
    const next = log.prepare(to(file))
    assert.deepEqual(next.warnings, [])
    next.use()
    log.info('written')
    const broken = log.prepare(to(setUp.directory))
    assert.match(broken.warnings.join(), /EISDIR.*instead$/)
    broken.use()
    log.info('told')
    await log.close()
    assert.match(fs.readFileSync(file, 'utf8'), /^\S+ info {2}written\n$/)
    assert.match(setUp.said, /info {2}told\n$/)
  })
})
