/** Cases for a table that an earlier version made, and for who makes which rule of the gate. */
import assert from 'node:assert/strict'
import type { Command } from '../../src/nft/nft-json.js'
import {
  addBaseChain,
  addRule,
  and,
  deleteChain,
  deleteSet,
  flushChain,
  goto,
  match,
  meta,
} from '../../src/nft/nft-json.js'
import type { ListedRule } from '../../src/nft/listing.js'
import type { FirewallResult } from '../../src/nft/reconcile/firewall.js'
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

/** The rules of a service with `syn`, with the comment of the version before. */
const asBefore = (chain: string, rules: readonly ListedRule[]): Command[] => [
  flushChain(chain),
  ...rules.map(({ expr, comment }, i) => addRule(chain, expr, i === 0 ? 'already connected' : comment)),
]

export const upgradeCases: FirewallCase[] = [
  {
    name: 'a table with three base chains, as the version before made it, becomes one of two, and grants go on',
    async run(firewall, nft) {
      const wide = service('ssh', { ports: ports(22, [100, 200]) })
      const packetPath = await packetPathFor(firewall)
      const bases = async () =>
        [...(await nft.list()).chains.values()].flatMap(({ name, base }) => (base === undefined ? [] : [name])).sort()
      const changes: [string, () => Promise<FirewallResult>][] = [
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
    name: 'services of the version before get the rules of this one at the next install',
    async run(firewall, nft) {
      const packetPath = await packetPathFor(firewall)
      const once = service('once', { ports: ports(2222), singleUse: true })
      const guarded = service('ssh', { syn: true })
      await firewall.ensureServices([guarded, once])
      await firewall.addGrant('once', 4, '192.0.2.1', 500)
      const { chains } = await nft.list()
      const first = (name: string) => chains.get(`pk-${name}`)?.rules ?? []
      await nft.apply([
        // As it was: another comment, and no sets for what is being taken.
        ...asBefore('pk-ssh', first('ssh')),
        flushChain('pk-once'),
        ...[4, 6].flatMap(v => ['knock', 'add'].map(role => deleteSet(`pk-once.${role}-taken-${v}`))),
        ...first('once').map(({ expr, comment }) =>
          addRule(
            'pk-once',
            expr.filter(one => !JSON.stringify(one).includes('-taken-')),
            comment,
          ),
        ),
      ])
      const sound = async () => [...(await firewall.services()).values()].map(one => `${one.spec.name} ${one.sound}`)
      assert.deepEqual(await sound(), ['once false', 'ssh false'])
      await firewall.install([], packetPath)
      assert.deepEqual(await sound(), ['once true', 'ssh true'])
      assert.deepEqual(await grants(firewall, 'once'), ['192.0.2.1 hand 500'])
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
