/**
 * The packet path on the kernel of a distribution, whose nft has the `queue` statement: a machine of its own, in
 * software emulation, runs the demo and the tests of the knock. Some two minutes, most of it the emulation.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { obstacle } from './support/image.js'
import { confined, emulated, runJob } from './support/job.js'

describe('on a Debian kernel, with nft queue', { skip: obstacle() ?? false, timeout: 600_000 }, () => {
  it('the demo, and the tests of the knock', async () => {
    const { status, stdout, stderr } = await runJob(
      'native',
      `${confined}\n${emulated} node dist/test/demo.js && ${emulated} node scripts/run-tests.js integration/knock`,
      420,
    )
    const said = `${stdout}${stderr}`
    assert.equal(status, 0, said)
    assert.match(said, /listening on queue 62 by nft's queue statement/)
    assert.match(said, /Each step happened as told/)
    assert.match(said, /\n2 passed, 0 failed\n/)
  })
})
