/**
 * The parts of the integration tests that AppArmor can meddle with, on the kernel of a distribution with every daemon
 * confined: in an emulated machine. All of them, with nft's own `queue` statement, run by npm run test:native.
 *
 * Time limit: 30 minutes
 */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { obstacle } from './support/image.js'
import { confined, emulated, runJob } from './support/job.js'

const names = ['triggers', 'knock']
const seconds = 1700

describe('on a Debian kernel, confined by AppArmor', { skip: obstacle() ?? false }, () => {
  let said = ''
  let status: number | null = null
  before(async () => {
    const files = names.map(name => `integration/${name}.test.js`).join(' ')
    // What has been done so far can be seen on the console.
    const run = `${emulated} PKCTL_TEST_SECOND_TRY=1 node scripts/run-tests.js ${files} 2>&1 | tee /dev/console`
    const result = await runJob('native', `${confined}\nset -o pipefail\n${run}`, seconds)
    said = `${result.stdout}${result.stderr}`
    status = result.status
  })

  it('they pass, with daemons confined', context => {
    const [sum] = /^\d{2,4} passed, 0 failed.*$/m.exec(said) ?? []
    if (status !== 0 || sum === undefined) console.log(said)
    assert.equal(status, 0, (said.match(/^(at first )?failed: .*$/gm) ?? [said.slice(-2000)]).join('\n'))
    assert.ok(sum, said.slice(-2000))
    context.diagnostic(sum)
    for (const [remark] of said.matchAll(/^failed at first .*$/gm)) context.diagnostic(remark)
  })
})
