/** Cases for a table that an earlier version made, and for who makes which rule of the gate. */
import assert from 'node:assert/strict'
import type { Command } from '../../src/nft/json.js'
import { addBaseChain, addRule, and, deleteChain, flushChain, goto, match, meta } from '../../src/nft/json.js'
import type { ListedRule } from '../../src/nft/listing.js'
import type { Change } from '../../src/nft/reconcile/firewall.js'
import { gatePriority } from '../../src/nft/table/gate.js'
import type { FirewallCase } from './firewall-tools.js'
import {
  chainNames,
  changed,
  grants,
  marks,
  packetPathFor,
  ports,
  service,
  specs,
  ssh,
  unchanged,
  web,
} from './firewall-tools.js'

/** What the version before made in place of the gate's first rule: a base chain for answers, and the gate behind it. */
function asBeforeTwoChains(gate: readonly ListedRule[]): Command[] {
  const lookups = gate.filter(({ expr }) => JSON.stringify(expr).includes('vmap'))
  return [
    flushChain('gate-input'),
    deleteChain('gate-input'),
    addBaseChain('grant-input', 'input', -149),
    addRule('grant-input', [match(and(meta('mark'), marks.mask), '!=', 0), goto('answer')]),
    addBaseChain('gate-input', 'input', -140),
    ...lookups.map(({ expr }) => addRule('gate-input', expr)),
  ]
}

export const upgradeCases: FirewallCase[] = [
  {
    name: 'a table with three base chains, as the version before made it, becomes one of two, and grants go on',
    async run(firewall, nft) {
      const wide = service('ssh', { ports: ports(22, [100, 200]) })
      const packetPath = await packetPathFor(firewall)
      const bases = async () =>
        [...(await nft.list()).chains.values()].flatMap(({ name, base }) => (base === undefined ? [] : [name])).sort()
      const changes: [string, () => Promise<Change>][] = [
        ['the services as before', () => firewall.install([wide], packetPath)],
        ['a service of a command', () => firewall.install([], packetPath)],
        ['one that changes', () => firewall.install([{ ...wide, syn: true }], packetPath)],
      ]
      for (const [name, change] of changes) {
        await firewall.install([wide], packetPath)
        await firewall.addGrant('ssh', 4, '192.0.2.1', 500)
        await nft.apply(asBeforeTwoChains((await nft.list()).chains.get('gate-input')?.rules ?? []))
        assert.deepEqual(await bases(), ['gate-input', 'grant-input', 'knock-input'], name)
        assert.equal((await firewall.services()).get('ssh')?.sound, false, name)
        changed(await change())
        assert.deepEqual(await bases(), ['gate-input', 'knock-input'], name)
        assert.equal((await specs(firewall)).length, 1, name)
        assert.deepEqual(await grants(firewall), ['192.0.2.1 hand 500'], name)
        await unchanged(nft, () => firewall.install([], packetPath))
      }
      await nft.apply(asBeforeTwoChains((await nft.list()).chains.get('gate-input')?.rules ?? []))
      await firewall.uninstall()
      assert.deepEqual(await chainNames(nft), ['gate-input', 'pk-ssh'])
      changed(await firewall.ensureServices([wide]))
      assert.equal((await nft.list()).chains.get('gate-input')?.base, `filter input ${gatePriority} accept`)
      assert.deepEqual(await grants(firewall), ['192.0.2.1 hand 500'])
    },
  },
  {
    name: 'commands change services beside a packet path, whose rule stays the first one of the gate',
    async run(firewall, nft) {
      await firewall.install([ssh], await packetPathFor(firewall))
      const first = async () => (await nft.list()).chains.get('gate-input')?.rules[0]
      const before = await first()
      assert.deepEqual(Object.keys(before?.expr.at(-1) ?? {}), ['jump'])
      for (const change of [
        () => firewall.ensureServices([web]),
        () => firewall.ensureServices([service('db', { ports: ports([5000, 5010]) })]),
        () => firewall.removeService('ssh'),
        () => firewall.ensureServices([ssh]),
      ]) {
        changed(await change())
        assert.deepEqual(await first(), before)
      }
    },
  },
]
