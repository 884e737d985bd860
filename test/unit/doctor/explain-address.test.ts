import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { explainAddress } from '../../../src/doctor/explain-address.js'
import type { Condition } from '../../../src/nft/foreign/rule.js'
import type { KernelFacts } from '../../../src/doctor/facts.js'
import type { ServiceState } from '../../../src/nft/reconcile/service-state.js'
import { facts, laptop } from './doctor-support.js'

const address = '192.0.2.7'
const running = { state: 'answers' } as const

describe('whether an address gets in', () => {
  function explain(options: string, grants: ServiceState['grants'] = [], state: 'answers' | 'absent' = 'answers') {
    const kernel = facts(laptop, `s: { port: 22${options} }`).kernel as KernelFacts
    const services = new Map([...kernel.services].map(([name, service]) => [name, { ...service, grants }]))
    const [found] = explainAddress(address, { ...kernel, services }, { state })
    assert.ok(found)
    const { access, rule, by, secondsLeft } = found
    return { access, rule, ...(by === undefined ? {} : { by, secondsLeft }) }
  }

  const cases: readonly [string, ReturnType<typeof explain>, ReturnType<typeof explain>][] = [
    ['without a grant it does not', explain(''), { access: 'refused', rule: 'chain pk-s: no grant, so drop' }],
    [
      'by the longest of its grants, also of a prefix',
      explain('', [
        { source: address, by: 'knock', secondsLeft: 5 },
        { source: '192.0.2.0/24', by: 'hand', secondsLeft: null },
        { source: '192.0.2.8', by: 'hand', secondsLeft: null },
      ]),
      { access: 'granted', rule: 'chain pk-s: a grant of 192.0.2.0/24', by: 'hand', secondsLeft: null },
    ],
    [
      'by the allowlist, before all grants',
      explain(', allow: [192.0.0.0/16]', [{ source: address, by: 'knock', secondsLeft: 5 }]),
      { access: 'allowed', rule: 'chain pk-s: 192.0.0.0/16 is on the allowlist' },
    ],
    [
      'not by a list of others',
      explain(', allow: [198.51.100.0/24, "::/0"], reject: reset'),
      { access: 'refused', rule: 'chain pk-s: no grant, so reset' },
    ],
    [
      'where the service only watches',
      explain(', accept: true'),
      { access: 'open', rule: 'chain pk-s: accept, the service only watches' },
    ],
    [
      'with fail-open while no daemon answers',
      explain(', fail-open: true', [], 'absent'),
      { access: 'open', rule: 'chain pk-s: fail-open, because no pkctld answers' },
    ],
    [
      'not with fail-open while one does',
      explain(', fail-open: true'),
      { access: 'refused', rule: 'chain pk-s: no grant, so drop' },
    ],
  ]
  for (const [what, found, want] of cases) it(what, () => assert.deepEqual(found, want))

  it('and what another table does to the port', () => {
    const kernel = facts().kernel as KernelFacts
    const chain = {
      ...{ family: 'inet', table: 'f', name: 'c', tool: 'nft', rules: [] },
      base: { hook: 'input', priority: 0, policy: 'drop', nat: false },
    } as unknown as KernelFacts['chains'][number]
    const [found] = explainAddress(address, { ...kernel, chains: [chain] }, running)
    assert.deepEqual(
      found?.objections.map(({ id }) => id),
      ['policy-drops'],
    )
  })

  it('and not what tables of the other version of IP do', () => {
    const kernel = facts().kernel as KernelFacts
    const chains = ['ip', 'ip6'].map(family => ({
      ...{ family, table: 'f', name: 'c', tool: 'nft', rules: [] },
      base: { hook: 'input', priority: 0, policy: 'drop', nat: false },
    })) as unknown as KernelFacts['chains']
    for (const [one, table] of [
      [address, 'ip f'],
      ['2001:db8::7', 'ip6 f'],
    ] as const) {
      const [found] = explainAddress(one, { ...kernel, chains }, running)
      assert.deepEqual(
        found?.objections.map(objection => objection.table),
        [table],
      )
    }
  })

  const source = (prefixes: readonly string[], not = false, version: 4 | 6 = 4) =>
    ({ kind: 'source', empty: false, not, version, prefixes }) as const
  const port = { kind: 'port', ranges: [{ first: 22, last: 22 }], not: false } as const
  const dropping: readonly [string, readonly Condition[], RegExp | null][] = [
    [
      'drops it by name',
      [source(['192.0.2.7/32'])],
      /drops packets from 192\.0\.2\.7 to 22\/tcp after pkctl: 192\.0\.2\.7 cannot use s, even with a grant/,
    ],
    [
      'drops its network at the port',
      [port, source(['192.0.2.0/24', '10.0.0.0/8'])],
      /drops packets from 192\.0\.2\.7/,
    ],
    ['drops all but others', [source(['198.51.100.0/24'], true)], /drops packets from 192\.0\.2\.7/],
    ['drops others', [port, source(['198.51.100.0/24'])], null],
    ['drops all but it', [port, source(['192.0.2.7/32'], true)], null],
    ['drops all but some of the other version', [source(['2001:db8::/32'], true, 6)], null],
    [
      'drops sources that it is not known of',
      [port, { kind: 'source', empty: false, not: false }],
      /drops some packets to 22\/tcp/,
    ],
  ]
  for (const [what, conditions, said] of dropping)
    it(`and whether another table ${what}`, () => {
      const kernel = facts().kernel as KernelFacts
      const chain = {
        ...{ family: 'inet', table: 'f', name: 'c', tool: undefined },
        rules: [{ conditions, actions: [{ kind: 'drop' }] }],
        base: { hook: 'input', priority: 0, policy: 'accept', nat: false },
      } as unknown as KernelFacts['chains'][number]
      const [found] = explainAddress(address, { ...kernel, chains: [chain] }, running)
      const messages = found?.objections.map(({ message }) => message) ?? []
      if (said === null) assert.deepEqual(messages, [])
      else assert.match(messages.join('\n'), said)
    })
})
