/** The documents that promise something name the tests for it: each of them exists. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, it } from 'node:test'
import { root } from '../../support/commands.js'

/** Each `FILE`: NAME at the end of a row of a table. */
function namedIn(document: string): (readonly [file: string, name: string])[] {
  const text = fs.readFileSync(path.join(root, 'docs', document), 'utf8')
  return [...text.matchAll(/\| `([\w/.-]+\.ts)`: (.+?) *\|$/gm)].map(([, file = '', name = '']) => [file, name])
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
        assert.ok(fs.readFileSync(source, 'utf8').includes(name), `test/${file} has no '${name}'`)
      })
    }
  })
}
