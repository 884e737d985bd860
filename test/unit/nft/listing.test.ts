import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import type { ListedElement } from '../../../src/nft/listing.js'
import { asArray, asObject, asText, emptyListing, parseElementText, parseListing } from '../../../src/nft/listing.js'
import { readServices } from '../../../src/nft/reconcile/service-state.js'
import { gatePriority } from '../../../src/nft/table/gate.js'

const here = { family: 'inet', table: 'pkctl' }
const metainfo = (version: string) => ({ metainfo: { version, release_name: 'x', json_schema_version: 1 } })
const listed = (...objects: unknown[]) => parseListing({ nftables: [metainfo('1.0.6'), ...objects] })

describe('parseListing', () => {
  it('of nothing is an empty listing', () => {
    for (const json of [undefined, null, {}, [], { nftables: [] }, { nftables: 5 }]) {
      assert.deepEqual(parseListing(json), emptyListing(), JSON.stringify(json))
    }
  })

  it('knows the release of nft, and the flags of the table that are of use', () => {
    assert.deepEqual(listed(), { ...emptyListing(), release: '1.0.6' })
    const flagged = (flags: unknown) => {
      const { persist, owner, flagged: others } = listed({ table: { family: 'inet', name: 'pkctl', handle: 7, flags } })
      return { persist, owner, others }
    }
    assert.deepEqual(flagged(['owner', 'persist']), { persist: true, owner: true, others: false })
    assert.deepEqual(flagged('persist'), { persist: true, owner: false, others: false }, 'as nft 1.1.4 lists it')
    assert.deepEqual(flagged(['persist', 'dormant']), { persist: true, owner: false, others: true })
  })

  it('of an empty table knows that it is there', () => {
    const table = { table: { family: 'inet', name: 'pkctl', handle: 7 } }
    assert.deepEqual(listed(table), { ...emptyListing(), present: true, handle: 7, release: '1.0.6' })
    assert.equal(listed({ table: { ...table.table, flags: 'inet' } }).flagged, true, 'as nft 1.0.6 lists dormant')
  })

  const elements: readonly (readonly [string, unknown, ListedElement[]])[] = [
    ['no elements', undefined, []],
    ['one address', ['192.0.2.1'], [{ value: '192.0.2.1' }]],
    ['one address without brackets', '192.0.2.1', [{ value: '192.0.2.1' }]],
    ['a prefix', [{ prefix: { addr: '10.0.0.0', len: 8 } }], [{ value: { prefix: { addr: '10.0.0.0', len: 8 } } }]],
    [
      'a timeout',
      [{ elem: { val: '192.0.2.1', timeout: 60, expires: 59 } }],
      [{ value: '192.0.2.1', timeout: 60, expires: 59 }],
    ],
    [
      'its last second',
      [{ elem: { val: '192.0.2.1', timeout: 60, expires: 0 } }],
      [{ value: '192.0.2.1', timeout: 60, expires: 0 }],
    ],
    ['a comment', [{ elem: { val: '192.0.2.1', comment: 'me' } }], [{ value: '192.0.2.1', comment: 'me' }]],
    ['a counter that nobody asked for', [{ elem: { val: 5, counter: { packets: 1, bytes: 2 } } }], [{ value: 5 }]],
    ['a concatenation', [{ concat: ['192.0.2.1', 22] }], [{ value: { concat: ['192.0.2.1', 22] } }]],
  ]
  for (const [name, elem, want] of elements) {
    it(`set with ${name}`, () => {
      const { sets, present } = listed({ set: { ...here, name: 's', type: 'ipv4_addr', handle: 2, elem } })
      assert.deepEqual([present, sets.get('s')], [true, { name: 's', elements: want }])
    })
  }

  const key = { concat: ['tcp', 22] }
  const maps: readonly (readonly [string, unknown, ListedElement[]])[] = [
    ['goto', [[key, { goto: { target: 'pk-ssh' } }]], [{ value: key, target: 'pk-ssh' }]],
    ['jump', [[key, { jump: { target: 'pk-ssh' } }]], [{ value: key, target: 'pk-ssh' }]],
    ['drop', [[key, { drop: null }]], [{ value: key }]],
    [
      'wrapped key',
      [[{ elem: { val: key, comment: 'c' } }, { goto: { target: 'x' } }]],
      [{ value: key, comment: 'c', target: 'x' }],
    ],
  ]
  for (const [name, elem, want] of maps) {
    it(`map with ${name}`, () => {
      const { maps } = listed({
        map: { ...here, name: 'm', type: ['inet_proto', 'inet_service'], map: 'verdict', elem },
      })
      assert.deepEqual(maps.get('m')?.elements, want)
    })
  }

  it('rules belong to their chains, in their order', () => {
    const rule = (chain: string, handle: number, comment?: string) => ({
      rule: { ...here, chain, handle, expr: [{ accept: null }], ...(comment ? { comment } : {}) },
    })
    const { chains } = listed(
      { chain: { ...here, name: 'a', handle: 1 } },
      { chain: { ...here, name: 'b', handle: 2, type: 'filter', hook: 'input', prio: -140, policy: 'accept' } },
      rule('b', 3, 'first'),
      rule('a', 4),
      rule('b', 5),
      rule('nowhere', 6),
    )
    assert.deepEqual(
      [...chains.values()],
      [
        { name: 'a', rules: [{ handle: 4, expr: [{ accept: null }] }] },
        {
          name: 'b',
          hook: 'input',
          base: 'filter input -140 accept',
          rules: [
            { handle: 3, expr: [{ accept: null }], comment: 'first' },
            { handle: 5, expr: [{ accept: null }] },
          ],
        },
      ],
    )
  })

  it('a rule of one statement without brackets is one', () => {
    const chain = { chain: { ...here, name: 'a' } }
    const { chains } = listed(chain, { rule: { ...here, chain: 'a', handle: 1, expr: { drop: null } } })
    assert.deepEqual(chains.get('a')?.rules[0]?.expr, [{ drop: null }])
  })

  it('never throws on what it does not know, nor does the reading of services', () => {
    const json = fc.json().map(text => JSON.parse(text) as unknown)
    const kind = fc.constantFrom('table', 'chain', 'rule', 'set', 'map', 'other')
    const name = fc.constantFrom('pk-a', 'services-input', 'gate-input', 'pk-a-4')
    const object = fc.tuple(kind, fc.record({ name, chain: name, elem: json, expr: json, comment: json, hook: json }))
    const objects = fc.array(object.map(([kind, body]) => ({ [kind]: body })))
    fc.assert(
      fc.property(
        fc.oneof(
          json,
          objects.map(nftables => ({ nftables })),
        ),
        any => {
          readServices(parseListing(any))
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('parseElementText', () => {
  const text = (type: string, elements: string) =>
    `table inet pkctl {\n\tset s {\n\t\ttype ${type}\n\t\tflags timeout\n\t\telements = { ${elements} }\n\t}\n}\n`
  const table: readonly (readonly [string, ListedElement])[] = [
    ['192.0.2.1', { value: '192.0.2.1' }],
    ['2001:db8::1', { value: '2001:db8::1' }],
    ['192.0.2.1 timeout 1h expires 59m59s976ms', { value: '192.0.2.1', timeout: 3600, expires: 3599 }],
    ['2001:db8::1 timeout 5s expires 4s972ms', { value: '2001:db8::1', timeout: 5, expires: 4 }],
    ['192.0.2.1 timeout 2d1h5s expires 2d1h4s984ms', { value: '192.0.2.1', timeout: 176_405, expires: 176_404 }],
    ['192.0.2.1 timeout 1m30s expires 488ms', { value: '192.0.2.1', timeout: 90, expires: 0 }],
    ['192.0.2.1 timeout 5m expires 5m', { value: '192.0.2.1', timeout: 300, expires: 300 }],
    ['192.0.2.1 timeout 5m', { value: '192.0.2.1', timeout: 300 }],
    ['192.0.2.1 timeout 5m expires 4m comment "me"', { value: '192.0.2.1', timeout: 300, expires: 240, comment: 'me' }],
  ]
  for (const [elements, want] of table) {
    it(elements, () => assert.deepEqual(parseElementText(text('ipv4_addr', elements)), want))
  }

  it('of no element is none', () => {
    for (const none of ['', 'table inet pkctl {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n}\n', 'elements = { }']) {
      assert.equal(parseElementText(none), undefined, none)
    }
  })
})

/** One service, as different releases of nft print it: they differ in what is an array, and in what is left out. */
describe('a service as printed by', () => {
  const last = 'pkctl tcp drop syn many window=60 prefix=32/128'
  const releases: readonly (readonly [string, (values: string[]) => unknown, unknown])[] = [
    ['1.0.6', flags => flags, ['syn', 'ack']],
    ['1.1.4, with a lone flag', flags => (flags.length === 1 ? flags[0] : flags), ['syn', 'ack']],
    ['1.1.5', flags => flags, { '|': ['syn', 'ack'] }],
  ]
  for (const [release, flags, tcpFlags] of releases) {
    it(release, () => {
      const set = (name: string, type: string, flag: string, elem?: unknown) => ({
        set: { ...here, name, type, flags: flags([flag]), size: 9, ...(elem ? { elem } : {}) },
      })
      const rule = (chain: string, comment: string, ...expr: unknown[]) => ({
        rule: { ...here, chain, handle: 9, comment, expr },
      })
      const counter = (packets: number) => ({ counter: { packets, bytes: 1 } })
      const synOnly = {
        match: { op: '!=', left: { '&': [{ payload: { protocol: 'tcp', field: 'flags' } }, tcpFlags] }, right: 'syn' },
      }
      const services = readServices(
        parseListing({
          nftables: [
            metainfo(release),
            { table: { family: 'inet', name: 'pkctl' } },
            { chain: { ...here, name: 'pk-ssh' } },
            {
              chain: {
                ...here,
                name: 'gate-input',
                type: 'filter',
                hook: 'input',
                prio: gatePriority,
                policy: 'accept',
              },
            },
            set('pk-ssh-4', 'ipv4_addr', 'timeout', [{ elem: { val: '192.0.2.1', timeout: 60, expires: 0 } }]),
            set('pk-ssh-6', 'ipv6_addr', 'timeout'),
            set('pk-ssh.add-4', 'ipv4_addr', 'timeout', '192.0.2.2'),
            set('pk-ssh.add-6', 'ipv6_addr', 'timeout'),
            set('pk-ssh.used-4', 'ipv4_addr', 'timeout'),
            set('pk-ssh.used-6', 'ipv6_addr', 'timeout'),
            set('pk-ssh.allow-4', 'ipv4_addr', 'interval', [{ prefix: { addr: '10.0.0.0', len: 8 } }, '192.0.2.3']),
            set('pk-ssh.allow-6', 'ipv6_addr', 'interval', ['2001:db8::1']),
            {
              map: {
                ...here,
                name: 'services-input',
                map: 'verdict',
                elem: [[{ concat: ['tcp', 22] }, { goto: { target: 'pk-ssh' } }]],
              },
            },
            rule('gate-input', 'x', { vmap: { key: {}, data: '@services-input' } }),
            rule('pk-ssh', 'of a connection', synOnly, { return: null }),
            rule('pk-ssh', 'always allowed', counter(1), { accept: null }),
            rule('pk-ssh', 'always allowed', counter(2), { accept: null }),
            rule('pk-ssh', 'granted by knock', counter(4), { accept: null }),
            rule('pk-ssh', 'granted by hand', counter(8), { accept: null }),
            rule('pk-ssh', 'granted by knock', counter(16), { accept: null }),
            rule('pk-ssh', 'granted by hand', counter(32), { accept: null }),
            rule('pk-ssh', last, counter(64), { drop: null }),
          ],
        }),
      )
      assert.deepEqual(services.get('ssh'), {
        spec: {
          name: 'ssh',
          protocol: 'tcp',
          closing: 'drop',
          syn: true,
          singleUse: false,
          failOpen: false,
          window: 60,
          prefix4: 32,
          prefix6: 128,
          ports: [{ first: 22, last: 22 }],
          hook: 'input',
          interfaces: [],
          allow: ['10.0.0.0/8', '192.0.2.3/32', '2001:db8::1/128'],
          log: null,
        },
        sound: true,
        grants: [
          { source: '192.0.2.1', by: 'knock', secondsLeft: 0 },
          { source: '192.0.2.2', by: 'hand', secondsLeft: null },
        ],
        refusedPackets: 64,
        admittedPackets: 63,
      })
    })
  }

  it('somebody else, with a name like ours, is none', () => {
    const chain = { chain: { ...here, name: 'pk-mine' } }
    const rule = { rule: { ...here, chain: 'pk-mine', handle: 1, comment: 'pkctl is great', expr: [{ drop: null }] } }
    assert.equal(readServices(listed(chain, rule)).size, 0)
    assert.equal(readServices(listed(chain)).size, 0)
  })
})

describe('asText, asArray, asObject', () => {
  const table: readonly (readonly [unknown, string, unknown, unknown])[] = [
    ['a', 'a', ['a'], {}],
    [5, '5', [5], {}],
    [null, '', [], {}],
    [undefined, '', [], {}],
    [true, '', [true], {}],
    [['a'], '', ['a'], {}],
    [{ a: 1 }, '', [{ a: 1 }], { a: 1 }],
  ]
  for (const [value, text, array, object] of table) {
    it(`of ${inspect(value)}`, () => {
      assert.deepEqual([asText(value as null), asArray(value), asObject(value)], [text, array, object])
    })
  }
})
