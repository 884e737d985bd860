import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HashTable } from '../../../src/util/hash-table.js'

type Words = [number, number, number, number]

/** Few enough different words that keys come again, and share words with others. */
const word = fc.oneof(fc.nat(2), fc.constantFrom(0xffffffff, 0x80000000), fc.integer({ min: 0, max: 0xffffffff }))
const key: fc.Arbitrary<Words> = fc.tuple(word, word, word, word)
const value = fc.oneof(fc.integer(), fc.constantFrom(0, -0, Infinity, -Infinity, 0.5))

function entries(table: HashTable): [string, number][] {
  const all: [string, number][] = []
  table.forEach((a, b, c, d, value) => all.push([[a, b, c, d].join(), value]))
  return all.sort()
}

describe('WordTable', () => {
  it('does what a Map does', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value), { maxLength: 300 }), fc.array(key), (written, asked) => {
        const table = new HashTable()
        const map = new Map<string, number>()
        for (const [words, value] of written) {
          table.set(...words, value)
          map.set(words.join(), value)
          assert.equal(table.size, map.size)
        }
        for (const words of [...asked, ...written.map(([words]) => words)]) {
          assert.equal(table.get(...words), map.get(words.join()))
        }
        assert.deepEqual(entries(table), [...map].sort())
      }),
    )
  })

  it('keeps everything while it grows', () => {
    const table = new HashTable()
    const count = 50_000
    for (let i = 0; i < count; i++) table.set(i, ~i >>> 0, 0, i % 7, i)
    assert.equal(table.size, count)
    for (let i = 0; i < count; i++) assert.equal(table.get(i, ~i >>> 0, 0, i % 7), i)
    assert.equal(table.get(count, ~count >>> 0, 0, count % 7), undefined)
  })

  it('tells apart keys that differ in one word only', () => {
    const table = new HashTable()
    const keys: Words[] = [0, 1, 2, 3].map(at => [0, 1, 2, 3].map(i => (i === at ? 1 : 0)) as Words)
    keys.forEach((key, i) => table.set(...key, i))
    keys.forEach((key, i) => assert.equal(table.get(...key), i))
    assert.equal(table.get(0, 0, 0, 0), undefined)
  })

  it('is empty at first, and visits nothing then', () => {
    const table = new HashTable()
    assert.equal(table.get(0, 0, 0, 0), undefined)
    assert.deepEqual([table.size, entries(table)], [0, []])
  })
})
