import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { fileLock } from '../../../src/nft/lock.js'
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
})
