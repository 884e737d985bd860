/** The documents that promise something name the tests for it: each of them exists. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, it } from 'node:test'
import { targets } from '../../fuzz/targets/index.js'
import { root } from '../../support/commands.js'

/** Each `FILE`: NAME at the end of a row of a table. */
function namedIn(document: string): (readonly [file: string, name: string])[] {
  const text = fs.readFileSync(path.join(root, 'docs', document), 'utf8')
  return [...text.matchAll(/\| `([\w/.-]+\.ts)`: (.+?) *\|$/gm)].map(([, file = '', name = '']) => [file, name])
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** The titles of the tests of a file, as patterns for a part of one: what a title is made of differs from test to test. */
function titlesIn(source: string): { readonly test: (part: string) => boolean }[] {
  const calls = source.matchAll(/\b(?:it|on|describe)\(\s*(['"`])((?:\\.|(?!\1)[^\\])+)\1/g)
  return [...calls].map(([, , text = '']) => {
    const fixed = text.split(/\$\{[^}]*\}/)
    const whole = new RegExp(`^${fixed.map(escaped).join('\\S+')}$`)
    return { test: part => fixed.some(each => each.includes(part)) || whole.test(part) }
  })
}

for (const [document, least] of [
  ['faults.md', 20],
  ['security.md', 10],
] as const) {
  describe(document, () => {
    const named = namedIn(document)
    it('names tests', () => assert.ok(named.length >= least))
    for (const [file, name] of named) {
      it(`${file}: ${name}`, () => {
        const source = path.join(root, 'test', file)
        assert.ok(fs.existsSync(source), `there is no test/${file}`)
        assert.ok(
          titlesIn(fs.readFileSync(source, 'utf8')).some(title => title.test(name)),
          `no test of test/${file} has the title '${name}'`,
        )
      })
    }
  })
}

describe('security.md', () => {
  it('names readers that are fuzzed', () => {
    const readers = namedIn('security.md').flatMap(
      ([, name]) => /^no input breaks the reader (.+)$/.exec(name)?.[1] ?? [],
    )
    assert.deepEqual(
      readers.filter(reader => !targets.some(({ name }) => name === reader)),
      [],
    )
  })
})

describe('the failures of architecture.md', () => {
  const firstCells = (text: string) => [...text.matchAll(/^\| (.+?) +\|/gm)].map(([, cell = '']) => cell)
  const read = (name: string) => fs.readFileSync(path.join(root, 'docs', name), 'utf8')
  const failures = read('architecture.md').split('## What each failure does')[1]?.split('\n## ')[0] ?? ''
  const named = new Set(firstCells(read('faults.md')))
  // The heading, and the line below it.
  for (const failure of firstCells(failures).slice(2)) {
    it(`${failure}: has a row in faults.md`, () => assert.ok(named.has(failure)))
  }
  it('are there', () => assert.ok(firstCells(failures).length > 20))
})
