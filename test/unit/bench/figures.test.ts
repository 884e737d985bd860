import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { originText, withFigures } from '../../bench/figures.js'
import { root } from '../../support/commands.js'

const marks = ['<!-- figures of peers -->', '<!-- end of figures of peers -->'] as const

describe('figures in the documents', () => {
  it('take the place of those before, between the marks of their part', () => {
    const once = withFigures(`a\n${marks.join('\n')}\nz\n`, 'peers', 'old')
    assert.equal(once, `a\n${marks[0]}\n\nold\n\n${marks[1]}\nz\n`)
    assert.equal(withFigures(once, 'peers', 'new'), once.replace('old', 'new'))
  })

  it('are written nowhere without marks', () => {
    for (const text of ['', marks[0], [...marks].reverse().join('\n')])
      assert.throws(() => withFigures(text, 'peers', 'new'), /no marks for the figures of peers/)
  })

  it('have their place in the document', () => {
    const document = fs.readFileSync(path.join(root, 'docs/performance.md'), 'utf8')
    for (const part of ['peers', 'reconcile'])
      assert.match(withFigures(document, part, 'the table'), /\n\nthe table\n\n/)
  })

  it('say from which version they are', () => {
    const origin = { date: '2026-11-30T13:00:00Z', version: '0.1.0', commit: 'abcd1234+', machine: '2 processors' }
    assert.equal(originText(origin), 'pkctl 0.1.0 (abcd1234+), 2026-11-30: 2 processors')
  })
})
