import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { maskAddress } from '../../../src/net/addresses.js'
import * as j from '../../../src/nft/nft-json.js'

describe('source', () => {
  const masks: readonly (readonly [4 | 6, number, string])[] = [
    [4, 0, '0.0.0.0'],
    [4, 1, '128.0.0.0'],
    [4, 7, '254.0.0.0'],
    [4, 8, '255.0.0.0'],
    [4, 9, '255.128.0.0'],
    [4, 24, '255.255.255.0'],
    [4, 31, '255.255.255.254'],
    [6, 0, '::'],
    [6, 1, '8000::'],
    [6, 57, 'ffff:ffff:ffff:ff80::'],
    [6, 64, 'ffff:ffff:ffff:ffff::'],
    [6, 127, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe'],
  ]
  for (const [version, prefix, mask] of masks) {
    it(`IPv${version}/${prefix} is masked with ${mask}`, () => {
      const address = { payload: { protocol: version === 4 ? 'ip' : 'ip6', field: 'saddr' } }
      assert.deepEqual(j.source(version, prefix), { '&': [address, mask] })
    })
  }

  it('a whole address is not masked', () => {
    assert.deepEqual(j.source(4), { payload: { protocol: 'ip', field: 'saddr' } })
    assert.deepEqual(j.source(4, 32), j.source(4))
    assert.deepEqual(j.source(6, 128), j.source(6))
  })

  it('masks in the kernel to the same address as is granted by command', () => {
    const ones = { 4: '255.255.255.255', 6: Array(8).fill('ffff').join(':') }
    const maskOf = (version: 4 | 6, prefix: number) => (j.source(version, prefix) as { '&': [unknown, string] })['&'][1]
    fc.assert(
      fc.property(fc.constantFrom(4, 6), fc.nat(127), (version, bits) => {
        const prefix = version === 4 ? bits >> 2 : bits
        assert.equal(maskAddress(maskOf(version, prefix), version === 4 ? 32 : 128), maskAddress(ones[version], prefix))
      }),
    )
  })
})

describe('commands', () => {
  const here = { family: 'inet', table: 'pkctl' }
  const table: readonly (readonly [string, j.Command, unknown])[] = [
    [
      'a set',
      j.addSet({ name: 's', type: 'ipv4_addr', flags: ['timeout'], size: 5, gcInterval: 9 }),
      { add: { set: { ...here, name: 's', type: 'ipv4_addr', flags: ['timeout'], size: 5, 'gc-interval': 9 } } },
    ],
    [
      'a verdict map',
      j.addVerdictMap({ name: 'm', type: 'mark' }),
      { add: { map: { ...here, name: 'm', type: 'mark', map: 'verdict' } } },
    ],
    [
      'a base chain',
      j.addBaseChain('b', 'input', -5),
      { add: { chain: { ...here, name: 'b', type: 'filter', hook: 'input', prio: -5, policy: 'accept' } } },
    ],
    ['a rule', j.addRule('c', [j.drop()]), { add: { rule: { ...here, chain: 'c', expr: [{ drop: null }] } } }],
    [
      'a rule with a comment',
      j.addRule('c', [], 'x'),
      { add: { rule: { ...here, chain: 'c', expr: [], comment: 'x' } } },
    ],
    [
      'a limit',
      j.addRule('c', [j.limit({ count: 3, unit: 'minute' }, 6, true)]),
      { add: { rule: { ...here, chain: 'c', expr: [{ limit: { rate: 3, per: 'minute', burst: 6, inv: true } }] } } },
    ],
  ]
  for (const [name, command, want] of table) it(name, () => assert.deepEqual(command, want))

  it('never name any other table', () => {
    const commands = [
      j.addChain('x'),
      j.deleteChain('x'),
      j.flushChain('x'),
      j.deleteRule('x', 1),
      j.deleteSet('x'),
      j.deleteMap('x'),
      j.flushSet('x'),
      j.addElements('x', []),
      j.deleteElements('x', []),
    ]
    for (const command of commands) assert.match(JSON.stringify(command), /"family":"inet","table":"pkctl"/)
    for (const command of [j.addTable(), j.deleteTable()]) {
      assert.match(JSON.stringify(command), /"family":"inet","name":"pkctl"/)
    }
  })
})
