/**
 * Integration tests on the kernel of a distribution, whose nft has the `queue` statement, and with every daemon confined
 * by AppArmor: a machine of its own, in software emulation, runs them. All that there are take three quarters of an hour
 * there (npm run lab:all); these are the ones to which it matters most how packets come to the daemon and who it is.
 */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { obstacle } from './support/image.js'
import { runSuite } from './support/suite.js'

const names = [
  ...['daemon', 'services', 'triggers', 'sequences', 'scapy', 'group'],
  ...['demo', 'onbehalf', 'unprivileged', 'knock'],
]

/** On a machine that is much slower than others, some tests are left out rather than all of them cut off. */
const budget = 2400

describe('on a Debian kernel, with nft queue', { skip: obstacle() ?? false, timeout: 3_600_000 }, () => {
  let said = ''
  let status: number | null = null
  before(async () => {
    const result = await runSuite(names, { logs: 'native', seconds: 3500, budget })
    said = `${result.stdout}${result.stderr}`
    status = result.status
  })

  it('integration tests pass, with daemons confined', context => {
    assert.equal(status, 0, said)
    const [sum] = /^\d{2,3} passed, 0 failed.*$/m.exec(said) ?? []
    assert.ok(sum, said)
    context.diagnostic(sum)
    for (const [remark] of said.matchAll(/^failed at first .*$/gm)) context.diagnostic(remark)
  })

  it('there was time for all of them', context => {
    const left = [...said.matchAll(/^not run for want of time: (.*)$/gm)].map(([, name]) => name)
    if (left.length > 0) context.skip(`no time for ${left.join(', ')}`)
  })
})
