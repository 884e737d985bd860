/** What nft, iptables-save and nft monitor say, of rules that anyone may have made. */
import assert from 'node:assert/strict'
import { passageThrough } from '../../../src/doctor/checks/simulate-packet.js'
import { parseSavedRules } from '../../../src/nft/foreign/iptables-save.js'
import type { RuleChain } from '../../../src/nft/foreign/rule.js'
import { parseRuleset } from '../../../src/nft/foreign/ruleset.js'
import { parseElementText, parseListing } from '../../../src/nft/listing.js'
import { MonitorReader } from '../../../src/nft/reconcile/nft-monitor.js'
import { readServices } from '../../../src/nft/reconcile/service-state.js'
import type { Target } from '../target.js'

const foreign = { family: 'inet', table: 'filter' }
const dport = { payload: { protocol: 'tcp', field: 'dport' } }
const ruleset = {
  nftables: [
    { metainfo: { version: '1.0.6', json_schema_version: 1 } },
    { table: { family: 'inet', name: 'filter', handle: 1 } },
    { chain: { ...foreign, name: 'input', handle: 1, type: 'filter', hook: 'input', prio: 0, policy: 'drop' } },
    { chain: { ...foreign, name: 'side', handle: 2 } },
    {
      set: {
        ...foreign,
        name: 'x',
        type: 'inet_service',
        elem: [22, { range: [80, 90] }, { elem: { val: 5, timeout: 5 } }],
      },
    },
    {
      map: { ...foreign, name: 'm', type: 'inet_service', map: 'verdict', elem: [[22, { goto: { target: 'side' } }]] },
    },
    {
      rule: {
        ...foreign,
        chain: 'input',
        handle: 3,
        expr: [{ match: { op: '==', left: dport, right: '@x' } }, { accept: null }],
      },
    },
    { rule: { ...foreign, chain: 'input', handle: 4, expr: [{ vmap: { key: dport, data: '@m' } }] } },
    {
      rule: {
        ...foreign,
        chain: 'side',
        handle: 5,
        expr: [{ jump: { target: 'side' } }, { dnat: { addr: '192.0.2.1', port: 80 } }],
      },
    },
    {
      rule: {
        ...foreign,
        chain: 'side',
        expr: [
          {
            mangle: { key: { meta: { key: 'mark' } }, value: { '|': [{ '&': [{ meta: { key: 'mark' } }, 255] }, 1] } },
          },
        ],
      },
    },
  ],
}
const here = { family: 'inet', table: 'pkctl' }
const own = {
  nftables: [
    { table: { family: 'inet', name: 'pkctl', handle: 7, flags: ['dormant'] } },
    {
      map: {
        ...here,
        name: 'services-input',
        type: ['inet_proto', 'inet_service'],
        map: 'verdict',
        elem: [[{ concat: ['tcp', 22] }, { goto: { target: 'pk-ssh' } }]],
      },
    },
    {
      set: {
        ...here,
        name: 'pk-ssh-4',
        type: 'ipv4_addr',
        size: 9,
        elem: [{ elem: { val: '192.0.2.1', timeout: 60, expires: 5 } }],
      },
    },
    { set: { ...here, name: 'pk-ssh.allow-4', type: 'ipv4_addr', elem: [{ prefix: { addr: '10.0.0.0', len: 8 } }] } },
    { chain: { ...here, name: 'pk-ssh', handle: 9 } },
    {
      rule: {
        ...here,
        chain: 'pk-ssh',
        handle: 10,
        comment: 'granted',
        expr: [{ counter: { packets: 1, bytes: 2 } }, { accept: null }],
      },
    },
    { rule: { ...here, chain: 'pk-ssh', handle: 11, comment: 'tcp syn drop window=60', expr: [{ drop: null }] } },
  ],
}
const saved = `*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 22 -j MARK --set-xmark 0x1/0xff
COMMIT
*filter
:INPUT DROP [0:0]
:side - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT ! -s 192.0.2.0/24 -p tcp -m multiport ! --dports 22,80:90 -g side
-A side -m comment --comment "a \\"b\\" -j" -j side
-A side -p udp -j DNAT --to-destination 192.0.2.1:53
COMMIT
`
const monitored = `add table inet pkctl
add element inet pkctl pk-ssh-4 { 192.0.2.1 timeout 1m40s expires 39s984ms, 2001:db8::7 comment "x, 192.0.2.9" }
delete rule inet pkctl pk-ssh handle 6
# new generation 5 by process 123 (nft)
# ERROR: Could not process
insert rule ip mangle INPUT meta mark 1 counter packets 0 bytes 0
# new generation 6
`

/** Follows packets through all that was read: no loop of chains may keep it. */
function follow(chains: readonly RuleChain[]): void {
  for (const base of chains.filter(chain => chain.base !== undefined).slice(0, 4)) {
    for (const port of [22, null]) passageThrough(base, chains, { protocol: 6, port })
  }
}

function jsonOf(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString())
  } catch {
    return undefined
  }
}

const words = [
  '"nftables":',
  '"rule":',
  '"expr":',
  '"match":',
  '"vmap":',
  '"elem":',
  '"concat":',
  '"__proto__":',
  '[',
  ']',
  '{',
  '}',
  'null',
]

export const ruleTargets: readonly Target[] = [
  {
    name: 'nft-ruleset',
    seeds: [
      JSON.stringify(ruleset),
      JSON.stringify(own),
      JSON.stringify({ nftables: [...ruleset.nftables, ...own.nftables] }),
    ],
    words,
    runs: 3000,
    run(input) {
      const json = jsonOf(input)
      const { chains, own: listing } = parseRuleset(json)
      follow(chains)
      readServices(listing)
      readServices(parseListing(json))
    },
  },
  {
    name: 'iptables-save',
    seeds: [saved],
    words: ['-A ', '-j ', '-g ', '--dport ', '! ', '"', '-m ', ':INPUT ', '*filter', '\n'],
    run: input => follow(parseSavedRules(input.toString(), 'ip', 'iptables-nft')),
  },
  {
    name: 'nft-monitor',
    seeds: [monitored],
    words: [
      'add element inet pkctl x { ',
      ' timeout ',
      'expires',
      '# new generation ',
      '# ERROR',
      'comment "',
      '::',
      '\n',
    ],
    run(input) {
      const reader = new MonitorReader({
        transaction: ({ events }) => {
          for (const { elements } of events) {
            for (const { timeout, expires } of elements) {
              assert.ok(!Number.isNaN(timeout) && !Number.isNaN(expires))
            }
          }
        },
        deleted: () => undefined,
      })
      for (const line of input.toString().split('\n')) reader.line(line)
    },
  },
  {
    name: 'nft-element',
    seeds: ['table inet pkctl {\n\tset x {\n\t\telements = { 192.0.2.1 timeout 1h expires 59m59s976ms }\n\t}\n}\n'],
    words: ['elements = { ', ' timeout ', ' expires ', '}', 'ms'],
    run(input) {
      const element = parseElementText(input.toString())
      assert.ok(!Number.isNaN(element?.timeout) && !Number.isNaN(element?.expires))
    },
  },
]
