/**
 * The integration tests on the kernel of a distribution, whose nft has the `queue` statement, and with every daemon
 * confined by AppArmor: a machine of its own, in software emulation, runs them. That takes most of an hour.
 */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { obstacle } from './support/image.js'
import { runSuite, suite } from './support/suite.js'

const names = suite([])

/**
 * So long after `npm test` has begun, no file is begun any more: on a machine that is much slower than others, some are
 * left out rather than all of them cut off. Seconds.
 */
const latest = 4800
const began = Number(process.env['PKCTL_TEST_BEGAN'] ?? Date.now() / 1000)
const budget = Math.max(900, Math.round(began + latest - Date.now() / 1000))
/** What is begun last takes some time as well. */
const seconds = budget + 500

describe('on a Debian kernel, with nft queue', { skip: obstacle() ?? false, timeout: (seconds + 60) * 1000 }, () => {
  let said = ''
  let status: number | null = null
  before(async () => {
    const result = await runSuite(names, { logs: 'native', seconds, budget })
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

  it('there was time for all of them', context => {
    const left = [...said.matchAll(/^not run for want of time: (.*)$/gm)].map(([, name]) => name)
    if (left.length > 0) context.skip(`no time for ${left.join(', ')}`)
  })
})
