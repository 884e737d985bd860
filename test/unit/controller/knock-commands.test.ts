import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Confirmation, Grants } from '../../../src/controller/grants/grant-confirmation.js'
import { KnockCommands } from '../../../src/controller/triggers/knock-commands.js'
import { service } from '../../support/firewall-tools.js'

const grants: Grants = [{ service: service('ssh'), seconds: 60 }]

/** Commands whose grants are confirmed when the test says so. */
function bench() {
  const told: string[] = []
  const answers: ((kind: Confirmation['kind']) => void)[] = []
  const commands = new KnockCommands(
    {
      opened: (credential, address) => void told.push(`opened ${credential} ${address}`),
      closed: (credential, address) => void told.push(`closed ${credential} ${address}`),
    },
    credential => (credential === 'bell' ? [] : grants),
    {
      confirm: () =>
        new Promise(resolve => {
          answers.push(kind => {
            resolve(kind === 'missing' ? { kind, services: ['ssh'] } : { kind })
          })
        }),
    },
    {
      ...{ debug: () => undefined, info: () => undefined, warn: () => undefined },
      error: message => void told.push(message),
    },
  )
  return { told, answers, commands }
}

describe('the commands of a knock', () => {
  for (const kind of ['made', 'unknown'] as const) {
    it(`run when its grant is ${kind}`, async () => {
      const { told, answers, commands } = bench()
      commands.opened('laptop', '192.0.2.1')
      assert.deepEqual(told, [])
      answers[0]?.(kind)
      await commands.settled()
      assert.deepEqual(told, ['opened laptop 192.0.2.1'])
    })
  }

  it('do not run when the kernel has no grant, and the log says so', async () => {
    const { told, answers, commands } = bench()
    commands.opened('laptop', '192.0.2.1')
    answers[0]?.('missing')
    await commands.settled()
    assert.deepEqual(told, ['on-open of laptop is not run for 192.0.2.1, because the kernel has not opened ssh'])
  })

  it('run at once where nothing is granted', () => {
    const { told, commands } = bench()
    commands.opened('bell', '192.0.2.1')
    assert.deepEqual(told, ['opened bell 192.0.2.1'])
  })

  it('keep the order of the knocks of a source, and wait for no other source', async () => {
    const { told, answers, commands } = bench()
    commands.opened('laptop', '192.0.2.1')
    commands.closed('laptop', '192.0.2.1')
    commands.opened('laptop', '192.0.2.1')
    commands.opened('laptop', '192.0.2.2')
    commands.closed('laptop', '192.0.2.3')
    answers[2]?.('made')
    answers[1]?.('made')
    await new Promise(setImmediate)
    assert.deepEqual(told.splice(0), ['closed laptop 192.0.2.3', 'opened laptop 192.0.2.2'])
    answers[0]?.('made')
    await commands.settled()
    assert.deepEqual(told, ['opened laptop 192.0.2.1', 'closed laptop 192.0.2.1', 'opened laptop 192.0.2.1'])
    commands.closed('laptop', '192.0.2.1')
    assert.equal(told.length, 4, 'at once, where nothing waits')
  })
})
