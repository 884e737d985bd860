import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { shapeMatches, periodMatches } from '../../../../src/nft/table/knock-shapes.js'
import type { KnockShape } from '../../../../src/nft/table/packet-path-spec.js'

const [length, port] = [168, 62_201]
const everywhere = { port: null, interfaces: [] }
const pkd: KnockShape = { ...everywhere, udpLength: 64, firstWord: 1 }
/** As long as a symmetric knock, and beside it in one configuration. */
const fwknop: KnockShape = { port, interfaces: [], udpLengths: [length, 200], firstBytes: [43, 47, 56, 57] }
const windows = (words: readonly number[], more: Partial<KnockShape> = {}): KnockShape[] =>
  words.map(word => ({ ...everywhere, udpLength: length, firstWord: word, secondWord: word + 1, ...more }))
const symmetric = windows([10, 20, 30])

const size = (right: unknown) => ({
  match: { op: '==', left: { payload: { protocol: 'udp', field: 'length' } }, right },
})
const to = (right: number) => ({ match: { op: '==', left: { payload: { protocol: 'udp', field: 'dport' } }, right } })

describe('packets whose first words change with time', () => {
  it('are known by their size alone, once for all windows, beside those of many lengths', () => {
    assert.deepEqual(periodMatches([pkd, fwknop, ...symmetric]), [[size(length)]])
    assert.deepEqual(periodMatches([...symmetric, fwknop, pkd]), [[size(length)]])
  })

  it('are none where only others are expected', () => {
    assert.deepEqual(periodMatches([pkd, fwknop]), [])
  })

  it('are not among those that the words or bytes of a rule know', () => {
    assert.deepEqual(shapeMatches([pkd, fwknop, ...symmetric]), shapeMatches([pkd, fwknop]))
    assert.deepEqual(shapeMatches(symmetric), [])
    const varied = shapeMatches([pkd, fwknop])[1] ?? []
    assert.deepEqual(varied.slice(0, 2), [size({ set: [length, 200] }), to(port)])
  })

  it('have a rule for each port and each list of interfaces', () => {
    const shapes = [...symmetric, ...windows([10, 20], { port: 7 }), ...windows([30], { interfaces: ['eth1'] })]
    const matches = periodMatches([fwknop, ...shapes])
    assert.equal(matches.length, 3)
    assert.deepEqual(matches.slice(0, 2), [[size(length)], [size(length), to(7)]])
    assert.deepEqual(matches[2]?.[0], size(length))
    assert.match(JSON.stringify(matches[2][1]), /iifname.*eth1/)
  })
})
