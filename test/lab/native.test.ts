/**
 * The packet path on the kernel of a distribution, whose nft has the `queue` statement: a machine of its own, in
 * software emulation, runs the demo and the tests of knocks of both kinds, whose daemons AppArmor confines. Some ten
 * minutes, most of it the emulation; npm run lab:all runs the other tests in the same way.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { obstacle } from './support/image.js'
import { confined, emulated, runJob } from './support/job.js'

const tests = 'integration/knock integration/scapy integration/sequences'

describe('on a Debian kernel, with nft queue', { skip: obstacle() ?? false, timeout: 2_300_000 }, () => {
  it('the demo, and the tests of knocks and sequences', async () => {
    const { status, stdout, stderr } = await runJob(
      'native',
      `${confined}\n${emulated} node dist/test/demo.js && ${emulated} node scripts/run-tests.js ${tests}`,
      2100,
    )
    const said = `${stdout}${stderr}`
    assert.equal(status, 0, said)
    assert.match(said, /listening on queue 62 by nft's queue statement/)
    assert.match(said, /Each step happened as told/)
    assert.match(said, /\n[3-9]\d passed, 0 failed\n/)
  })
})
