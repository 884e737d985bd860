/** Where a distribution's Node.js is too old, the documents name the same archive, with its checksum. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, it } from 'node:test'
import { root } from '../../support/commands.js'

const read = (file: string) => fs.readFileSync(path.join(root, file), 'utf8')
/** As in SHASUMS256.txt of nodejs.org. */
const version = 'v22.13.0'
const sums = {
  x64: '3ff0d57063c33313d73d0bdcebc4c778ad6be948234584694a042c6fe57164f6',
  arm64: '5de54a12983d0de6ba23597d4d0194e64933e26b0f04a469db3be9c3e18b6b2b',
}

describe('the archive of Node.js', () => {
  const places = ['README.md', 'docs/installation.md', 'docs/provisioning.md']

  for (const file of places) {
    it(`is of one version in ${file}`, () => {
      const named = [...read(file).matchAll(/(?:nodejs\.org\/dist\/|node-|version=)(v\d+\.\d+\.\d+)/g)]
      assert.deepEqual(new Set(named.map(([, one]) => one)), new Set(named.length > 0 ? [version] : []))
    })
  }

  it('has its checksums, and is verified before it is unpacked', () => {
    const text = read('docs/installation.md')
    assert.ok(text.includes(version))
    assert.deepEqual(new Set(text.match(/\b[0-9a-f]{64}\b/g)), new Set(Object.values(sums)))
    assert.match(text, /sha256sum -c &&\n.*tar -xJf/)
    assert.doesNotMatch(text, /curl [^\n]*\| *tar/)
  })
})
