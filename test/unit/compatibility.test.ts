/** COMPATIBILITY.md names a test for each thing that pkctl replaces; here it is looked whether there is one. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, it } from 'node:test'
import { root } from '../support/commands.js'

const text = fs.readFileSync(path.join(root, 'COMPATIBILITY.md'), 'utf8')

interface Row {
  readonly system: string
  readonly cells: readonly string[]
}

function rowsOf(markdown: string): Row[] {
  let system = ''
  return markdown.split('\n').flatMap(line => {
    if (line.startsWith('## ')) system = line.slice(3)
    // A bar inside a cell is escaped.
    const cells = line.startsWith('|') ? line.split(/(?<!\\)\|/).slice(1, -1) : []
    const isHead = cells[0]?.trim() === system || /^[ :-]+$/.test(cells[0] ?? '')
    return cells.length > 0 && !isHead ? [{ system, cells: cells.map(cell => cell.trim()) }] : []
  })
}

/** What is wrong with a row, or nothing. */
function faultOf({ cells }: Row): string | undefined {
  if (cells.length !== 3 || cells.includes('')) return 'a row has three cells'
  const [, file, name] = /^`([\w/.-]+\.test\.ts)`: (.+)$/.exec(cells[2] ?? '') ?? []
  if (file === undefined || name === undefined) return 'the last cell is `FILE`: NAME'
  const source = path.join(root, 'test', file)
  if (!fs.existsSync(source)) return `there is no test/${file}`
  return fs.readFileSync(source, 'utf8').includes(name) ? undefined : `test/${file} has no '${name}'`
}

describe('COMPATIBILITY.md', () => {
  const rows = rowsOf(text)

  it('has a table for each of the six systems', () => {
    assert.deepEqual(
      [...new Set(rows.map(({ system }) => system))],
      ['nf-pkd', 'ipt_pkd', 'knockd', 'pktables', 'nfqknockd', 'fwknop'],
    )
  })

  for (const row of rows) {
    it(`${row.system}: ${row.cells[0] ?? ''}`, () => assert.equal(faultOf(row), undefined))
  }

  it('would find a test that is missing', () => {
    const [row] = rowsOf(
      '## x\n| x | y | Test |\n| - | - | - |\n| a | b | `unit/compatibility.test.ts`: ' + 'no such ' + 'test |',
    )
    assert.match(faultOf(row as Row) ?? '', /has no 'no .* test'/)
  })
})
