/** What the log says of grants that other programs make, take back or change. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ForeignGrants } from '../../../src/controller/grants/foreign-grants.js'
import type { RulesetEvent } from '../../../src/nft/index.js'

const element = (verb: string, name: string, ...values: string[]): RulesetEvent => ({
  ...{ verb, kind: 'element', family: 'inet', table: 'pkctl', name },
  elements: values.map(value => ({ value, timeout: 60, expires: 60 })),
})
const object = (kind: string, name: string): RulesetEvent => ({
  ...{ verb: 'add', kind, family: 'inet', table: 'pkctl', name, elements: [] },
})

function bench() {
  const said: string[] = []
  const say = (message: string) => void said.push(message)
  const foreign = new ForeignGrants({ error: say, warn: say, info: say, debug: say }, () => 7)
  const follow = (...events: RulesetEvent[]) => {
    foreign.follow({ events, by: 'process 9 (nft)', lost: false })
  }
  return { foreign, said, follow }
}

describe('grants of other programs', () => {
  it('are told and counted, each kind with its sources and who it was', () => {
    const { foreign, said, follow } = bench()
    follow(element('add', 'pk-ssh-4', '192.0.2.1'), element('add', 'pk-ssh.add-6', '2001:db8::1', '2001:db8::2'))
    follow(element('delete', 'pk-ssh-4', '192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'))
    follow(element('delete', 'pk-web.add-4', '192.0.2.5'), element('add', 'pk-web.add-4', '192.0.2.5'))
    assert.deepEqual(said, [
      'process 9 (nft) has granted 192.0.2.1, 2001:db8::1, 2001:db8::2 access to ssh, without pkctl',
      'process 9 (nft) has revoked the grants of 192.0.2.1, 192.0.2.2, 192.0.2.3 and 1 more for ssh, without pkctl',
      'process 9 (nft) has changed the grants of 192.0.2.5 for web, without pkctl',
    ])
    assert.equal(foreign.count, 8)
  })

  it('are neither those of pkctl, nor what comes with a table, nor elements of other sets', () => {
    const { foreign, said, follow } = bench()
    follow(element('add', 'pk-ssh-4', '192.0.2.1'), object('chain', 'sign-own'))
    follow(object('table', ''), element('add', 'pk-ssh-4', '192.0.2.1'))
    follow(element('add', 'pending-4', '192.0.2.1'), element('add', 'pk-ssh.knock-taken-4', '192.0.2.1'))
    follow({ ...element('add', 'pk-ssh-4', '192.0.2.1'), table: 'other' })
    assert.deepEqual([foreign.count, said], [0, []])
  })

  it('do not fill the log', () => {
    const { foreign, said, follow } = bench()
    for (let i = 0; i < 20; i++) follow(element('add', 'pk-ssh-4', `192.0.2.${i}`))
    assert.deepEqual([foreign.count, said.length], [20, 5])
  })
})
