import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Passage } from '../../../../src/doctor/checks/simulate-packet.js'
import { passageThrough } from '../../../../src/doctor/checks/simulate-packet.js'
import { parseSavedRules } from '../../../../src/nft/foreign/iptables-save.js'
import type { RuleChain } from '../../../../src/nft/foreign/rule.js'
import { parseRuleset } from '../../../../src/nft/foreign/ruleset.js'
import type { Json } from '../../../../src/nft/nft-json.js'

const here = { family: 'inet', table: 't' }
const dport = (right: Json, op = '==', protocol = 'tcp') => ({
  match: { op, left: { payload: { protocol, field: 'dport' } }, right },
})
const l4 = (right: Json, op = '==') => ({ match: { op, left: { meta: { key: 'l4proto' } }, right } })
const state = (right: Json, op = 'in') => ({ match: { op, left: { ct: { key: 'state' } }, right } })
const source = { match: { op: '==', left: { payload: { protocol: 'ip', field: 'saddr' } }, right: '192.0.2.1' } }
const verdict = (name: string) => ({ [name]: null })
const jump = (target: string, how = 'jump') => ({ [how]: { target } })
const counter = { counter: { packets: 0, bytes: 0 } }

function chains(rules: Json[][], more: Json[] = []): RuleChain[] {
  const base = { ...here, name: 'in', type: 'filter', hook: 'input', prio: 0, policy: 'drop' }
  const items = [{ chain: base }, ...more, ...rules.map(expr => ({ rule: { ...here, chain: 'in', expr } }))]
  return parseRuleset({ nftables: items }).chains as RuleChain[]
}

const set = (kind: string, elem: Json) => ({ [kind]: { ...here, name: 'x', elem } })
const side = (expr: Json[]): Json[] => [
  { chain: { ...here, name: 'side' } },
  { rule: { ...here, chain: 'side', expr } },
]

/** Whether any packets are accepted, or go on. */
const inShort = ({ accepts, falls, dropsByPort }: Omit<Passage, 'reached'>) => ({
  accepts: accepts !== 'nobody',
  falls: falls !== 'nobody',
  dropsByPort,
})

describe('a packet to 22/tcp', () => {
  const [accept, drop, back] = [verdict('accept'), verdict('drop'), verdict('return')]
  const cases: readonly [
    name: string,
    rules: Json[][],
    accepts: boolean,
    falls: boolean,
    drops?: 'all' | 'some' | null,
    more?: Json[],
  ][] = [
    ['no rule', [], false, true],
    ['a port', [[dport(22), counter, accept]], true, false],
    ['another port', [[dport(23), accept]], false, true],
    ['a range', [[dport({ range: [20, 25] }), accept]], true, false],
    ['a set', [[dport({ set: [80, { range: [20, 25] }] }), accept]], true, false],
    ['not this port', [[dport(22, '!='), drop]], false, true],
    ['not another port', [[dport(23, '!='), accept]], true, false],
    ['another protocol', [[dport(22, '==', 'udp'), accept]], false, true],
    ['any transport', [[l4({ set: ['tcp', 'udp'] }), dport(22, '==', 'th'), accept]], true, false],
    ['not the protocol', [[l4('tcp', '!='), drop]], false, true],
    ['connections that run', [[state(['established', 'related']), accept]], false, true],
    ['connections that run, alone', [[state('established', '=='), accept]], false, true],
    ['new ones', [[state(['new', 'established']), dport(22), accept]], true, false],
    ['not new ones', [[state('new', '!='), drop]], false, true],
    ['the loopback', [[{ match: { op: '==', left: { meta: { key: 'iifname' } }, right: 'lo' } }, accept]], false, true],
    ['some sources', [[source, accept]], true, true],
    [
      'some sources, then none',
      [
        [source, accept],
        [dport(22), drop],
      ],
      true,
      false,
      'all',
    ],
    ['some sources dropped', [[source, dport(22), drop]], false, true, 'some'],
    ['a limit', [[dport(22), { limit: { rate: 1, per: 'second' } }, accept]], true, true],
    ['a rejection', [[dport(22), { reject: { type: 'tcp reset' } }]], false, false, 'all'],
    ['a set by name', [[dport('@x'), accept]], true, false, null, [set('set', [22, { range: [90, 99] }])]],
    ['a set that has it not', [[dport('@x'), accept]], false, true, null, [set('set', [23])]],
    [
      'elements with a comment',
      [[dport('@x'), accept]],
      true,
      false,
      null,
      [set('set', [{ elem: { val: 22, comment: 'c' } }])],
    ],
    [
      'a verdict map',
      [
        [
          {
            vmap: {
              key: { payload: { protocol: 'tcp', field: 'dport' } },
              data: {
                set: [
                  [80, accept],
                  [22, drop],
                ],
              },
            },
          },
        ],
      ],
      false,
      false,
      'all',
    ],
    [
      'one by name, of two parts',
      [
        [
          {
            vmap: {
              key: { concat: [{ meta: { key: 'l4proto' } }, { payload: { protocol: 'th', field: 'dport' } }] },
              data: '@x',
            },
          },
        ],
      ],
      true,
      false,
      null,
      [
        set('map', [
          [{ concat: ['udp', 22] }, drop],
          [{ concat: ['tcp', 22] }, accept],
        ]),
      ],
    ],
    [
      'states in a map',
      [
        [
          {
            vmap: {
              key: { ct: { key: 'state' } },
              data: {
                set: [
                  ['established', accept],
                  ['invalid', drop],
                ],
              },
            },
          },
        ],
      ],
      false,
      true,
    ],
    ['a jump that accepts', [[jump('side')]], true, false, null, side([dport(22), accept])],
    ['a jump for the port', [[dport(22), jump('side')]], false, false, 'all', side([drop])],
    ['a jump that comes back', [[jump('side')], [accept]], true, false, null, side([back])],
    ['a goto that comes back', [[jump('side', 'goto')], [accept]], false, true, null, side([back])],
    ['a return', [[back], [accept]], false, true],
    ['a circle', [[jump('side')]], false, true, null, side([source, jump('side')])],
    [
      'a match of iptables',
      [[{ xt: { type: 'match', name: 'set' } }, dport(22), { xt: { type: 'target', name: 'REJECT' } }]],
      false,
      true,
      'some',
    ],
  ]
  for (const [name, rules, accepts, falls, drops = null, more = []] of cases) {
    it(name, () => {
      const all = chains(rules, more)
      const base = all.find(chain => chain.base) ?? assert.fail('no base chain')
      const { reached, ...passage } = passageThrough(base, all, { protocol: 6, port: 22 })
      assert.deepEqual(inShort(passage), { accepts, falls, dropsByPort: drops })
      assert.ok(reached.length <= rules.length * 20)
    })
  }
  it('of a port that is not known, rules for a port may hold', () => {
    const all = chains([[dport(9), drop]])
    const passage = passageThrough(all[0] as RuleChain, all, { protocol: 6, port: null })
    assert.deepEqual([passage.falls, passage.dropsByPort], ['everyone', 'some'])
  })
})

describe('rules as iptables-save has them', () => {
  const parse = (...lines: string[]) =>
    parseSavedRules(['*filter', ':INPUT DROP [0:0]', ':side - [0:0]', ...lines].join('\n'), 'ip', 'iptables-nft')
  const cases: readonly [rule: string, accepts: boolean, falls: boolean, drops?: 'all' | 'some'][] = [
    ['-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT', true, false],
    ['-A INPUT -p tcp -m tcp --dport 20:25 -j ACCEPT', true, false],
    ['-A INPUT -p tcp -m multiport --dports 20,22:23 -j ACCEPT', true, false],
    ['-A INPUT -p udp -m udp --dport 22 -j ACCEPT', false, true],
    ['-A INPUT -p tcp -m tcp ! --dport 22 -j ACCEPT', false, true],
    ['-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT', false, true],
    ['-A INPUT -m state --state NEW -j ACCEPT', true, false],
    ['-A INPUT -i lo -j ACCEPT', false, true],
    ['-A INPUT ! -i lo -j ACCEPT', true, false],
    ['-A INPUT -s 192.0.2.0/24 -j ACCEPT', true, true],
    ['-A INPUT -p tcp -m tcp --dport 22 -m comment --comment "let -j DROP be" -j ACCEPT', true, false],
    [
      '-A INPUT -p tcp -m set --match-set bad src -m tcp --dport 22 -j REJECT --reject-with tcp-reset',
      false,
      true,
      'some',
    ],
    ['-A INPUT -j LOG --log-prefix "in -j ACCEPT "', false, true],
    ['-A INPUT -m comment --comment "pkctl: knocks" -j DROP', false, true],
  ]
  for (const [rule, accepts, falls, drops = null] of cases) {
    it(rule, () => {
      const all = parse(rule)
      const passage = passageThrough(all[0] as RuleChain, all, { protocol: 6, port: 22 })
      assert.deepEqual(inShort(passage), { accepts, falls, dropsByPort: drops })
    })
  }
  it('marks, queues and addresses', () => {
    const actions = (rule: string) => parse(rule)[0]?.rules[0]?.actions
    assert.deepEqual(actions('-A INPUT -j MARK --set-xmark 0x10002/0xffff0000'), [{ kind: 'mark', bits: 0x10000 }])
    assert.deepEqual(actions('-A INPUT -j NFQUEUE --queue-num 7 --queue-bypass'), [{ kind: 'queue', number: 7 }])
    assert.deepEqual(actions('-A INPUT -j DNAT --to-destination 172.17.0.2:80'), [
      { kind: 'dnat', address: '172.17.0.2', port: 80 },
    ])
    assert.deepEqual(actions('-A INPUT -j DNAT --to-destination 172.17.0.2'), [
      { kind: 'dnat', address: '172.17.0.2', port: null },
    ])
    assert.deepEqual(actions('-A INPUT -j DNAT --to-destination [2001:db8::1]:80'), [
      { kind: 'dnat', address: '2001:db8::1', port: 80 },
    ])
    assert.deepEqual(actions('-A INPUT -j DNAT --to-destination :80'), [{ kind: 'dnat', address: null, port: 80 }])
    assert.deepEqual(actions('-A INPUT -p tcp -j REDIRECT --to-ports 22'), [{ kind: 'redirect', port: 22 }])
    assert.deepEqual(actions('-A INPUT -g side'), [{ kind: 'goto', chain: 'side' }])
  })
})

describe('marks in nft', () => {
  const mark = { meta: { key: 'mark' } }
  const bits = (value: Json) =>
    chains([[{ mangle: { key: mark, value } }]])[0]?.rules[0]?.actions.map(
      action => action.kind === 'mark' && action.bits,
    )
  const cases: readonly [string, Json, number][] = [
    ['a number', 5, 5],
    ['one bit more', { '|': [mark, 0x10000] }, 0x10000],
    ['bits cleared', { '&': [mark, 0xffff] }, 0],
    ['cleared, and one more', { '|': [{ '&': [mark, 0xffff] }, 0x20000] }, 0x20000],
    ["a connection's", { ct: { key: 'mark' } }, 0xffffffff],
    ["some bits of a connection's", { '&': [{ ct: { key: 'mark' } }, 0xff] }, 0xff],
  ]
  for (const [name, value, wanted] of cases) it(name, () => assert.deepEqual(bits(value), [wanted]))
})
