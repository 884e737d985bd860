import assert from 'node:assert/strict'
import { it } from 'node:test'
import { withInlineElements } from '../../../src/nft/inline-elements.js'
import * as j from '../../../src/nft/nft-json.js'

const set = { name: 's', type: 'ipv4_addr' }
const filled = (...elem: string[]): j.Command => ({ add: { set: { ...set, family: 'inet', table: 'pkctl', elem } } })

const cases: readonly { name: string; commands: j.Command[]; result: j.Command[] }[] = [
  {
    name: 'elements of a set of the same transaction, together where the last ones were',
    commands: [j.addSet(set), j.addElements('s', ['192.0.2.1']), j.addChain('c'), j.addElements('s', ['192.0.2.2'])],
    result: [j.addSet(set), j.addChain('c'), filled('192.0.2.1', '192.0.2.2')],
  },
  {
    name: 'elements of a set that is there already, as they are',
    commands: [j.addElements('s', ['192.0.2.1'])],
    result: [j.addElements('s', ['192.0.2.1'])],
  },
  {
    name: 'elements of a set that rules fill as well, as they are',
    commands: [j.addSet({ ...set, flags: ['timeout'] }), j.addElements('s', ['192.0.2.1'])],
    result: [j.addSet({ ...set, flags: ['timeout'] }), j.addElements('s', ['192.0.2.1'])],
  },
  {
    name: 'the order of what is added and deleted',
    commands: [
      ...[j.addSet(set), j.addElements('s', ['192.0.2.1'])],
      ...[j.deleteElements('s', ['192.0.2.1']), j.addElements('s', ['192.0.2.1']), j.flushSet('s')],
      j.addElements('s', ['192.0.2.2']),
    ],
    result: [
      ...[j.addSet(set), filled('192.0.2.1')],
      ...[j.deleteElements('s', ['192.0.2.1']), filled('192.0.2.1'), j.flushSet('s')],
      filled('192.0.2.2'),
    ],
  },
  {
    name: 'elements of a set that was deleted since, as they are',
    commands: [j.addSet(set), j.deleteSet('s'), j.addElements('s', ['192.0.2.1'])],
    result: [j.addSet(set), j.deleteSet('s'), j.addElements('s', ['192.0.2.1'])],
  },
  {
    name: 'elements of a table that was deleted since, as they are',
    commands: [j.addSet(set), j.deleteTable(), j.addTable(), j.addElements('s', ['192.0.2.1'])],
    result: [j.addSet(set), j.deleteTable(), j.addTable(), j.addElements('s', ['192.0.2.1'])],
  },
]
for (const { name, commands, result } of cases) {
  it(`writes inline: ${name}`, () => {
    assert.deepEqual(withInlineElements(commands), result)
  })
}
