/** Somebody else changes or deletes pkctl's rules while the daemon runs: they come back. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { server4, stranger4 } from '../support/lab.js'
import { ReconcileSite } from '../support/reconcile-site.js'

describe('reconciling, of rules', () => {
  let site: ReconcileSite
  before(async () => {
    site = await ReconcileSite.create()
  })
  after(() => site.lab.remove())
  const damages: readonly { name: string; says: RegExp; damage: () => Promise<unknown> }[] = [
    { name: 'the whole ruleset', says: /deleted by process \d+ \(nft\)/, damage: () => site.nft('flush', 'ruleset') },
    {
      name: 'the table',
      says: /table inet pkctl was deleted/,
      damage: () => site.nft('delete', 'table', 'inet', 'pkctl'),
    },
    {
      name: 'one rule',
      says: /service ssh was changed/,
      damage: async () =>
        site.nft(
          'delete',
          'rule',
          'inet',
          'pkctl',
          'pk-ssh',
          'handle',
          await site.handleOf('pk-ssh', /drop comment "pkctl/),
        ),
    },
    {
      name: 'the rules of a service',
      says: /service ssh was changed/,
      damage: () => site.nft('flush', 'chain', 'inet', 'pkctl', 'pk-ssh'),
    },
    {
      name: 'the rules of the gate',
      says: /chain gate-input was changed/,
      damage: () => site.nft('flush', 'chain', 'inet', 'pkctl', 'gate-input'),
    },
    {
      name: 'the rules of the packet path',
      says: /chain knock-input was changed/,
      damage: () => site.nft('flush', 'chain', 'inet', 'pkctl', 'knock-input'),
    },
    {
      name: 'the port of a service',
      says: /service ssh was changed/,
      damage: () => site.nft('delete element inet pkctl services-input { tcp . 22 : goto pk-ssh }'),
    },
    {
      name: 'the plans',
      says: /elements of grants were changed/,
      damage: () => site.nft('flush', 'map', 'inet', 'pkctl', 'grants'),
    },
  ]
  for (const { name, says, damage } of damages) {
    it(`puts back what was deleted: ${name}`, async () => {
      const times = await site.restorations()
      const said = site.daemon.output.length
      await damage()
      await site.restored(times + 1)
      await site.allIsWell(times + 1)
      assert.match(site.daemon.output.slice(said), says)
    })
  }

  const edits: readonly { name: string; edit: () => Promise<unknown> }[] = [
    {
      name: 'a rule that accepts, before all others of a service',
      edit: () => site.nft('insert', 'rule', 'inet', 'pkctl', 'pk-ssh', 'accept'),
    },
    {
      name: 'a rule with the comment of the one that it replaces',
      edit: async () => {
        const handle = await site.handleOf('pk-ssh', /comment "always allowed"/)
        return site.nft(`replace rule inet pkctl pk-ssh handle ${handle} counter accept comment "always allowed"`)
      },
    },
    {
      name: 'a rule that looks like a lookup of the gate',
      edit: () => site.nft('insert rule inet pkctl gate-input tcp dport vmap { 22 : accept }'),
    },
    { name: 'prefixes allowed', edit: () => site.nft('add element inet pkctl pk-ssh.allow-4 { 10.0.0.0/8 }') },
    {
      name: 'a range of ports',
      edit: () => site.nft('add element inet pkctl ranges-tcp-input { 9000-9010 : goto pk-ssh }'),
    },
    { name: 'a table that sleeps', edit: () => site.nft('add table inet pkctl { flags dormant; }') },
    { name: 'the policy of a chain', edit: () => site.nft('add chain inet pkctl gate-input { policy drop; }') },
  ]
  for (const { name, edit } of edits) {
    it(`takes back what was added: ${name}`, async () => {
      const times = await site.restorations()
      await edit()
      await site.restored(times + 1)
      await site.allIsWell(times + 1)
      await site.openTo(server4, stranger4, 8080)
    })
  }
})
