import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { PortRange } from '../../../src/net/ports.js'
import { mergePorts, parsePorts } from '../../../src/net/ports.js'
import { table } from '../../support/value-table.js'

const range = (first: number, last: number): PortRange => ({ first, last })

table<string | number, ReturnType<typeof parsePorts>>('parsePorts', parsePorts, [
  [22, [range(22, 22)]],
  ['65535', [range(65_535, 65_535)]],
  ['1-65535', [range(1, 65_535)]],
  ['9-9', [range(9, 9)]],
  ['80, 22,23-25', [range(22, 25), range(80, 80)]],
  [0, undefined],
  [65_536, undefined],
  [22.5, undefined],
  [-22, undefined],
  ['', undefined],
  ['22,', undefined],
  ['10-5', undefined],
  ['0-5', undefined],
  ['5-', undefined],
  ['ssh', undefined],
  ['1-2-3', undefined],
])
describe('mergePorts', () => {
  it('keeps the set of ports and leaves gaps between ranges', () => {
    const ranges = fc.array(fc.tuple(fc.nat(60), fc.nat(5)).map(([first, more]) => range(first + 1, first + 1 + more)))
    const portsOf = (list: readonly PortRange[]) =>
      [
        ...new Set(list.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i))),
      ].sort((a, b) => a - b)
    fc.assert(
      fc.property(ranges, list => {
        const merged = mergePorts(list)
        assert.deepEqual(portsOf(merged), portsOf(list))
        merged.slice(1).forEach((next, i) => assert.ok(next.first > (merged[i]?.last ?? 0) + 1))
      }),
    )
  })
})
