/** Rules whose words matter, whatever is read back from them. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { buildServices } from '../../../../src/nft/table/service-changes.js'
import type { ServiceSpec } from '../../../../src/nft/table/service-spec.js'
import { FakeNft } from '../../../support/fake-nft.js'
import { service } from '../../../support/firewall-tools.js'

async function rulesOf(change: Partial<ServiceSpec>) {
  const nft = new FakeNft()
  await nft.apply(buildServices([service('ssh', change)], await nft.list()))
  return (await nft.list()).chains.get('pk-ssh')?.rules ?? []
}

describe('the rules of a service', () => {
  for (const version of [4, 6] as const) {
    for (const syn of [true, false]) {
      it(`that grants a single use know a connection by source and both ports (IPv${version}, syn: ${syn})`, async () => {
        const set = `@pk-ssh.used-${version}`
        const rules = (await rulesOf({ singleUse: true, syn })).filter(({ expr }) => JSON.stringify(expr).includes(set))
        const key = {
          concat: [
            { payload: { protocol: version === 4 ? 'ip' : 'ip6', field: 'saddr' } },
            { payload: { protocol: 'th', field: 'sport' } },
            { payload: { protocol: 'th', field: 'dport' } },
          ],
        }
        assert.deepEqual(
          rules.map(({ comment }) => comment),
          ['the connection let in', 'granted by knock, once', 'granted by hand, once'],
        )
        assert.deepEqual(rules[0]?.expr[0], { match: { op: '==', left: key, right: set } })
        // Where only the first packet is judged, repeating it does not make the use longer.
        const remember = {
          set: { op: syn ? 'add' : 'update', elem: { elem: { val: key, timeout: syn ? 35 : 180 } }, set },
        }
        assert.deepEqual(
          rules
            .map(({ expr }) => expr.filter(each => JSON.stringify(each).startsWith('{"set":')))
            .map(all => all.find(each => JSON.stringify(each).includes(`"${set}"`))),
          [syn ? undefined : remember, remember, remember],
        )
      })
    }
  }

  it('before routing let go what is to be routed onward, and on input they do not ask', async () => {
    const fib = (op: string, right: string, ...flags: string[]) => ({
      match: { op, left: { fib: { result: 'type', flags } }, right },
    })
    assert.deepEqual((await rulesOf({ hook: 'prerouting' }))[0]?.expr, [
      // Not for an address of the interface by which it comes, which may be in a VRF, nor for any other.
      fib('!=', 'local', 'daddr', 'iif'),
      fib('==', 'unicast', 'daddr'),
      { jump: { target: 'onward' } },
    ])
    assert.ok(!JSON.stringify(await rulesOf({ hook: 'input' })).includes('fib'))
  })

  it('let go first what comes in by another interface, and are the same as ever without one', async () => {
    const [first, ...rest] = await rulesOf({ interfaces: ['eth0'] })
    const iifname = { meta: { key: 'iifname' } }
    assert.deepEqual(first?.expr, [{ match: { op: '!=', left: iifname, right: 'eth0' } }, { return: null }])
    const texts = (rules: readonly (typeof rest)[number][]) =>
      rules.map(({ expr, comment }) => JSON.stringify([expr, comment]))
    assert.deepEqual(texts(rest), texts(await rulesOf({})))
    const [several] = await rulesOf({ interfaces: ['eth0', 'ppp*'] })
    assert.deepEqual(several?.expr[0], { match: { op: '!=', left: iifname, right: { set: ['eth0', 'ppp*'] } } })
  })
})
