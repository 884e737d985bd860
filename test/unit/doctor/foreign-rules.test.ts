/** Rulesets of others, and what the doctor says of them for a service on port 22 or 8080. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkForeignRules } from '../../../src/doctor/checks/check-foreign-rules.js'
import type { Facts, KernelFacts } from '../../../src/doctor/facts.js'
import type { FindingId } from '../../../src/doctor/finding.js'
import { parseSavedRules } from '../../../src/nft/foreign/iptables-save.js'
import type { RuleChain } from '../../../src/nft/foreign/rule.js'
import { parseRuleset } from '../../../src/nft/foreign/ruleset.js'
import type { Json } from '../../../src/nft/nft-json.js'
import { facts, ids, laptop } from './doctor-support.js'

const field = (protocol: string, name: string) => ({ payload: { protocol, field: name } })
const match = (left: Json, right: Json, op = '==') => ({ match: { op, left, right } })
const dport = (right: Json) => match(field('tcp', 'dport'), right)
const verdict = (name: string) => ({ [name]: null })
const jump = (target: string) => ({ jump: { target } })
const accept = verdict('accept')
const drop = verdict('drop')

interface ChainText {
  readonly hook?: string
  readonly nat?: boolean
  readonly policy?: string
  readonly rules: Json[][]
}

function nft(chains: Record<string, ChainText>, more: Json[] = []): RuleChain[] {
  const here = { family: 'ip', table: 't' }
  const items = Object.entries(chains).flatMap(([name, { hook, nat, policy = 'accept', rules }]): Json[] => [
    {
      chain: {
        ...here,
        name,
        ...(hook ? { hook, policy, type: nat ? 'nat' : 'filter', prio: nat ? -100 : 0 } : {}),
      },
    },
    ...rules.map(expr => ({ rule: { ...here, chain: name, expr } })),
  ])
  return [...parseRuleset({ nftables: [...items, ...more] }).chains]
}

const saved = (...lines: string[]) => parseSavedRules(lines.join('\n'), 'ip', 'iptables-nft')

const on = (services: string, chains: RuleChain[], around: Partial<KernelFacts> = {}): Facts => {
  const given = facts(laptop, services)
  return { ...given, kernel: { ...(given.kernel as KernelFacts), chains, ...around } }
}

const web = 's: { port: 8080 }'
const early = 's: { port: 8080, hook: prerouting }'
const ssh = 's: { port: 22 }'

function finds(given: Facts, ...wanted: FindingId[]): string {
  const found = checkForeignRules(given)
  assert.deepEqual(ids(found), wanted, JSON.stringify(found))
  return found[0]?.message ?? ''
}

describe('address translation', () => {
  const pre = (...rules: Json[][]): ChainText => ({ hook: 'prerouting', nat: true, rules })
  const dnat = (body: Json) => ({ dnat: body })
  const map = (key: Json, ...set: Json[]) => ({ map: { key, data: { set } } })
  const port = field('tcp', 'dport')
  const pod = { concat: ['172.17.0.2', 80] }

  const past: readonly [string, RuleChain[]][] = [
    ['behind a jump', nft({ pre: pre([dport(8080), jump('pod')]), pod: { rules: [[dnat({ addr: '172.17.0.2' })]] } })],
    [
      'behind two, by chance',
      nft({
        pre: pre([dport(8080), jump('service')]),
        service: {
          rules: [
            [
              {
                vmap: {
                  key: { numgen: { mode: 'random', mod: 2, offset: 0 } },
                  data: { set: [[0, { goto: { target: 'pod' } }]] },
                },
              },
            ],
          ],
        },
        pod: { rules: [[dnat({ addr: '172.17.0.2', port: 80 })]] },
      }),
    ],
    [
      'behind a verdict map',
      nft({
        pre: pre([{ vmap: { key: port, data: { set: [[8080, { goto: { target: 'pod' } }]] } } }]),
        pod: { rules: [[dnat({ addr: '172.17.0.2' })]] },
      }),
    ],
    ['by a map', nft({ pre: pre([dnat({ addr: map(port, [8080, pod]) })]) })],
    [
      'by a map with a name',
      nft({ pre: pre([dnat({ addr: { map: { key: port, data: '@m' } } })]) }, [
        { map: { family: 'ip', table: 't', name: 'm', elem: [[8080, pod]] } },
      ]),
    ],
    [
      'by a map of addresses by chance',
      nft({
        pre: pre([
          dport(8080),
          dnat({ addr: map({ numgen: { mode: 'random', mod: 1, offset: 0 } }, [0, '172.17.0.2']) }),
        ]),
      }),
    ],
    ['for all that comes', nft({ pre: pre([dnat({ addr: '172.17.0.2' })]) })],
    [
      'for all that comes by one interface',
      nft({ pre: pre([match({ meta: { key: 'iifname' } }, 'eth0'), dnat({ addr: '172.17.0.2' })]) }),
    ],
    [
      "for all that comes to the machine's address",
      nft({ pre: pre([match(field('ip', 'daddr'), '192.0.2.10'), dnat({ addr: '172.17.0.2' })]) }),
    ],
    [
      'in iptables, behind jumps',
      saved(
        '*nat',
        ':PREROUTING ACCEPT [0:0]',
        ':KUBE-NODEPORTS - [0:0]',
        ':KUBE-SEP - [0:0]',
        '-A PREROUTING -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
        '-A KUBE-NODEPORTS -p tcp -m tcp --dport 8080 -j KUBE-SEP',
        '-A KUBE-SEP -p tcp -m tcp -j DNAT --to-destination 10.244.0.5:80',
        'COMMIT',
      ),
    ],
  ]
  for (const [name, chains] of past) {
    it(`${name} leads past the hook input, and not past prerouting`, () => {
      assert.match(finds(on(web, chains), 'published-past-input'), /sends 8080\/tcp elsewhere/)
      finds(on(early, chains))
    })
  }

  const beside: readonly [string, RuleChain[]][] = [
    ['another port in a map', nft({ pre: pre([dnat({ addr: map(port, [8081, pod]) })]) })],
    [
      'a jump for another port',
      nft({ pre: pre([dport(8081), jump('pod')]), pod: { rules: [[dnat({ addr: '172.17.0.2' })]] } }),
    ],
    [
      'an address that is not of the machine',
      nft({ pre: pre([match(field('ip', 'daddr'), '10.96.0.1'), dport(8080), dnat({ addr: '172.17.0.2' })]) }),
    ],
    [
      'an interface from which nothing comes',
      nft({ pre: pre([match({ meta: { key: 'iifname' } }, 'docker0'), dport(8080), dnat({ addr: '172.17.0.2' })]) }),
    ],
  ]
  for (const [name, chains] of beside) it(`${name} is nothing`, () => void finds(on(web, chains)))

  it('to a port of the machine, behind a jump or by a map', () => {
    const redirect = { redirect: { port: 8080 } }
    for (const chains of [
      nft({ pre: pre([dport(2222), jump('r')]), r: { rules: [[redirect]] } }),
      nft({ pre: pre([{ redirect: { port: map(port, [2222, 8080]) } }]) }),
      nft({ pre: pre([dport(2222), dnat({ addr: '192.0.2.10', port: 8080 })]) }),
    ]) {
      assert.match(finds(on(early, chains), 'redirected-past-prerouting'), /port 2222 into port 8080/)
      finds(on(web, chains))
    }
  })
})

describe('a firewall that drops', () => {
  const status = { ct: { key: 'status' } }
  const input = (...rules: Json[][]) => nft({ in: { hook: 'input', policy: 'drop', rules } })
  const source = (right: Json) => match(field('ip', 'saddr'), right)
  const name = (right: Json, op = '==') => match({ meta: { key: 'iifname' } }, right, op)

  it('is not opened by a rule for what DNAT has led here', () => {
    for (const rule of [match(status, 'dnat', 'in'), match({ '&': [status, 'dnat'] }, 'dnat')]) {
      finds(on(web, input([rule, accept])), 'policy-drops')
    }
    const words = ['*filter', ':INPUT DROP [0:0]']
    finds(on(web, saved(...words, '-A INPUT -m conntrack --ctstate RELATED,DNAT -j ACCEPT')), 'policy-drops')
    finds(on(web, saved(...words, '-A INPUT -m conntrack --ctstatus DNAT -j ACCEPT')), 'policy-drops')
  })

  const published = (words: string) =>
    saved(
      '*nat',
      ':PREROUTING ACCEPT [0:0]',
      `-A PREROUTING -p tcp -m tcp --dport 8080 ${words}`,
      'COMMIT',
      '*filter',
      ':INPUT DROP [0:0]',
      '-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT',
    )

  it('does not meet what DNAT leads to another machine', () => {
    finds(on(early, published('-j DNAT --to-destination 172.17.0.2:80')))
    finds(on(early, published('! -i docker0 -j DNAT --to-destination 172.17.0.2:80')))
  })

  it('meets what is led to another port of the machine, at that port', () => {
    finds(on(early, published('-j REDIRECT --to-ports 22')))
    finds(on(early, published('-j REDIRECT --to-ports 23')), 'policy-drops')
    finds(
      on(early, [...published('-j REDIRECT --to-ports 23'), ...input([match(status, 'dnat', 'in'), accept])]),
      'policy-drops',
    )
  })

  it('and lets the port pass for some says so', () => {
    const from = /pass only from certain sources, after pkctl: to others s stays closed, even with a grant/
    assert.match(finds(on(ssh, input([source('192.0.2.1'), dport(22), accept])), 'passes-for-some'), from)
    const twoParts = match(
      { concat: [field('ip', 'saddr'), field('tcp', 'dport')] },
      { set: [{ concat: ['192.0.2.1', 22] }, { concat: ['192.0.2.2', 80] }] },
    )
    finds(on(ssh, input([twoParts, accept])), 'passes-for-some')
    finds(
      on(ssh, input([match(field('ip', 'saddr'), '192.0.2.1', '!='), drop], [dport(22), accept])),
      'passes-for-some',
    )
    finds(on(ssh, input([source('192.0.2.1'), dport(22), accept], [dport(22), accept])))
    finds(on(ssh, input([dport(22), { limit: { rate: 1, per: 'second' } }, accept])))
    const chain = ['*filter', ':INPUT DROP [0:0]']
    finds(
      on(ssh, saved(...chain, '-A INPUT -p tcp -m set --match-set ok src -m tcp --dport 22 -j ACCEPT')),
      'passes-for-some',
    )
    finds(on(ssh, saved(...chain, '-A INPUT -p tcp --dport 22 -m limit --limit 3/min --limit-burst 3 -j ACCEPT')))
    finds(on(ssh, saved(...chain, '-A INPUT -s 192.0.2.0/24 -j ACCEPT')), 'passes-for-some')
  })

  it('lets none pass from a set that is empty', () => {
    const set = (elem: Json) => [{ set: { family: 'ip', table: 't', name: 'ok', ...(elem ? { elem } : {}) } }]
    const rules = [[source('@ok'), dport(22), accept]]
    const chains = (elem: Json) => nft({ in: { hook: 'input', policy: 'drop', rules } }, set(elem))
    finds(on(ssh, chains(null)), 'policy-drops')
    finds(on(ssh, chains(['192.0.2.1'])), 'passes-for-some')
    const ports = [[match(field('tcp', 'dport'), '@ok'), accept]]
    finds(on(ssh, nft({ in: { hook: 'input', policy: 'drop', rules: ports } }, set(null))), 'policy-drops')
  })

  it('knows the interfaces of the machine', () => {
    const two = { interfaces: ['eth0', 'eth1', 'docker0'] }
    const one = input([name('eth0'), dport(22), accept])
    finds(on(ssh, one))
    assert.match(finds(on(ssh, one, two), 'passes-for-some'), /pass only by eth0/)
    finds(on(ssh, input([name('eth7'), dport(22), accept])), 'policy-drops')
    finds(on(ssh, input([name({ set: ['eth*'] }), dport(22), accept]), two))
    finds(on(ssh, input([name('eth0'), accept], [name('eth1'), dport(22), accept]), two))
    finds(on(ssh, input([name('eth1', '!='), dport(22), accept])))
    const words = ['*filter', ':INPUT DROP [0:0]', '-A INPUT -i eth+ -p tcp -m tcp --dport 22 -j ACCEPT']
    finds(on(ssh, saved(...words), two))
  })

  it('and lets the others return from a chain', () => {
    const chains = nft({
      in: { hook: 'input', policy: 'accept', rules: [[jump('block')]] },
      block: {
        rules: [
          [source('192.0.2.1'), verdict('return')],
          [dport(22), drop],
        ],
      },
    })
    finds(on(ssh, chains), 'passes-for-some')
  })
})
