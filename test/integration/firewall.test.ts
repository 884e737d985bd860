/** The cases of test/support/firewall-cases.ts on the kernel's own ruleset, in a network namespace without any link. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, afterEach, before, describe, it } from 'node:test'
import { realNft } from '../../src/nft/nft.js'
import { Firewall } from '../../src/nft/reconcile/firewall.js'
import { realIptablesQueue } from '../../src/nft/table/iptables-queue.js'
import type { Execute } from '../../src/util/child-process.js'
import { execute } from '../../src/util/child-process.js'
import { must, run } from '../support/commands.js'
import { firewallCases } from '../support/firewall-cases.js'
import { packetPathFor, ssh } from '../support/firewall-tools.js'

describe('Firewall, on the kernel', () => {
  const name = `pkfw${process.pid}`
  // It starts what it is given without the mounts that ip netns exec makes each time.
  const within = ['nsenter', `--net=/run/netns/${name}`]
  const inside: Execute = (file, args, input) => execute('nsenter', [...within.slice(1), file, ...args], input)
  const nft = realNft(inside)
  const firewall = new Firewall({
    nft,
    iptablesQueue: realIptablesQueue(inside),
    exclusive: work => work(),
    tableNote: { originOf: () => 'own', keep: () => undefined },
  })
  const remove = () => void spawnSync('ip', ['netns', 'delete', name])
  const ruleset = async () => (await run([...within, 'nft', 'list', 'ruleset'])).stdout

  before(async () => {
    await must(['ip', 'netns', 'add', name])
    process.once('exit', remove)
  })
  afterEach(() => must([...within, 'nft', 'flush', 'ruleset']))
  after(() => {
    process.removeListener('exit', remove)
    remove()
  })

  for (const { name, run } of firewallCases) it(name, () => run(firewall, nft))

  it('leaves nothing at all behind when everything was taken away', async () => {
    await firewall.install([ssh], await packetPathFor(firewall))
    await firewall.install([], await packetPathFor(firewall, { hook: 'prerouting' }))
    await firewall.uninstall()
    await firewall.removeService('ssh')
    assert.equal(await ruleset(), '')
  })

  it("leaves others' tables as they are", async () => {
    const foreign = 'table inet other {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.1 }\n\t}\n}\n'
    await must([...within, 'sh', '-c', 'cat | nft -f -'], { input: foreign })
    const before = await ruleset()
    await firewall.install([ssh], await packetPathFor(firewall))
    await firewall.uninstall()
    await firewall.removeService('ssh')
    assert.equal(await ruleset(), before)
  })
})
