import assert from 'node:assert/strict'
import fsItself, * as fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it, mock } from 'node:test'
import { fileLock, rulesetLock } from '../../../src/nft/lock.js'
import { sleep } from '../../support/commands.js'

describe('fileLock', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-lock-'))
  const file = path.join(directory, 'made', 'ruleset.lock')
  after(() => fs.rmSync(directory, { recursive: true }))

  it('lets one work at a time, and gives back what came of it', async () => {
    let inside = 0
    let most = 0
    const work = async (result: number) => {
      most = Math.max(most, ++inside)
      await sleep(30)
      inside--
      return result
    }
    const results = await Promise.all([1, 2, 3].map(i => fileLock(file)(() => work(i))))
    assert.deepEqual([results, most], [[1, 2, 3], 1])
  })

  it('is free again after a failure, which goes on to the caller', async () => {
    await assert.rejects(
      fileLock(file)(() => Promise.reject(new Error('no'))),
      /^Error: no$/,
    )
    assert.equal(await fileLock(file)(() => Promise.resolve('next')), 'next')
  })

  it('does not stand in the way of whoever may not make the file', async () => {
    // Nobody may make one in sysfs, not even root.
    assert.equal(await fileLock('/sys/pkctl-test.lock')(() => Promise.resolve('done')), 'done')
  })

  it('where no file can be made for another reason, nothing is done', async () => {
    const impossible = path.join(file, 'below', 'a-file')
    await assert.rejects(
      fileLock(impossible)(() => assert.fail('it ran')),
      { code: 'ENOTDIR' },
    )
  })

  it('is one for each network namespace', async () => {
    const number = /\d+/.exec(fs.readlinkSync('/proc/self/ns/net'))?.[0]
    await rulesetLock(directory)(() => Promise.resolve())
    assert.ok(fs.existsSync(path.join(directory, `ruleset-${number}.lock`)))
  })

  it('says who has it to those who wait in vain', async () => {
    let free: () => void = () => undefined
    let held: Promise<void> | undefined
    await new Promise<void>(begun => {
      const work = () => {
        begun()
        return new Promise<void>(done => (free = done))
      }
      held = fileLock(file)(work)
    })
    const since = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z'
    await assert.rejects(
      fileLock(file)(() => assert.fail('it ran'), 1),
      new RegExp(
        `lock\\.test, process ${process.pid}, has been changing the ruleset since ${since}; waited 1 s for the lock`,
      ),
    )
    free()
    await held
  })

  it('starts no process for a lock that can be had at once, and waits with flock(1) for another', async () => {
    const saved = process.env['PATH']
    process.env['PATH'] = directory
    try {
      assert.equal(await fileLock(file, undefined, () => true)(() => Promise.resolve('done')), 'done')
      await assert.rejects(
        fileLock(file, undefined, () => false)(() => assert.fail('it ran'), 1),
        /no flock program/,
      )
    } finally {
      process.env['PATH'] = saved
    }
  })

  for (const content of ['', 'x'.repeat(200), '\u001b[31m 1 2026-01-01T00:00:00Z\n', 'pkctl x\n']) {
    it(`repeats nothing else that the file says: ${JSON.stringify(content.slice(0, 20))}`, async () => {
      const other = path.join(directory, 'other.lock')
      await fileLock(other)(async () => {
        fs.writeFileSync(other, content)
        await assert.rejects(
          fileLock(other)(() => assert.fail('it ran'), 1),
          { message: `another program is changing the ruleset; waited 1 s for the lock ${other}` },
        )
      })
    })
  }

  it('is no file that has another name elsewhere, and no link', async () => {
    const precious = path.join(directory, 'precious')
    fs.writeFileSync(precious, 'kept')
    const planted = path.join(directory, 'planted.lock')
    for (const plant of [fs.linkSync, fs.symlinkSync]) {
      plant(precious, planted)
      await assert.rejects(fileLock(planted)(() => assert.fail('it ran')))
      assert.equal(fs.readFileSync(precious, 'utf8'), 'kept')
      fs.rmSync(planted)
    }
  })

  it('is no file whose name here is taken away before its names are counted', async () => {
    const precious = path.join(directory, 'kept')
    fs.writeFileSync(precious, 'kept')
    const planted = path.join(directory, 'taken-away.lock')
    fs.linkSync(precious, planted)
    const { fstatSync } = fsItself
    mock.method(fsItself, 'fstatSync', (descriptor: number) => {
      if (fs.readlinkSync(`/proc/self/fd/${descriptor}`) === planted) fs.rmSync(planted)
      return fstatSync(descriptor)
    })
    syncBuiltinESMExports()
    try {
      await assert.rejects(fileLock(planted)(() => assert.fail('it ran')))
    } finally {
      mock.restoreAll()
      syncBuiltinESMExports()
    }
    assert.equal(fs.readFileSync(precious, 'utf8'), 'kept')
  })
})
