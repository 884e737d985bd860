/** scripts/check-words.js finds the words of scripts/words.txt where people read them, and nowhere else. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { root } from '../../support/commands.js'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-words-'))
after(() => fs.rmSync(directory, { recursive: true }))

/** What the check prints for these texts, without "write …", and its exit status. */
function check(texts: readonly (readonly [name: string, text: string])[]): { found: string[]; status: number | null } {
  const files = texts.map(([name, text]) => {
    fs.writeFileSync(path.join(directory, name), text)
    return path.join(directory, name)
  })
  const script = path.join(root, 'scripts/check-words.js')
  const { stderr, status } = spawnSync(process.execPath, [script, ...files], { encoding: 'utf8', cwd: root })
  const lines = stderr.replaceAll(`${directory}/`, '').split('\n')
  return { found: lines.filter(line => line !== '').map(line => line.replace(/: write .*/, '')), status }
}

const cases: readonly (readonly [what: string, file: string, text: string, want: readonly string[]])[] = [
  ['a word in a document', 'a.md', 'Nobody\nknows.\n', ['1:1: "Nobody"']],
  ['two words over a line break', 'b.md', 'The source is let\n  in.\n', ['1:15: "let in"']],
  ['no part of a word', 'c.md', 'The theory, an outlet in the hall, safeguards.\n', []],
  ['no code of a document', 'd.md', '`anew` and\n\n```sh\necho anew\n```\n', []],
  ['no name of a test', 'e.md', '| x | `unit/a.test.ts`: nobody more |\n', []],
  ['a comment of a template', 'f.service', 'User=nobody\n# For nobody.\n', ['2:7: "nobody"']],
  ['a string literal', 'g.ts', "say('nobody answers')\n", ['1:6: "nobody"']],
  ['each part of a template literal', 'h.ts', 'say(`${x} shall ${y} grow anew`)\n', ['1:11: "shall"', '1:27: "anew"']],
  ['no code, comment or single word of a source', 'i.ts', "// anew\nshall(he, 'nobody')\n", []],
  [
    'a pair of words of which each is fine',
    'k.md',
    'The clock skew of a right\nknock is no skew.\n',
    ['1:5: "clock skew"', '1:21: "right knock"'],
  ],
  ['no import', 'j.ts', "import { nobody } from './put back/anew.js'\n", []],
]

describe('check-words', () => {
  it('finds the words with their places', () => {
    const { found, status } = check(cases.map(([, name, text]) => [name, text]))
    for (const [what, file, , want] of cases) {
      const here = found.filter(line => line.startsWith(`${file}:`)).map(line => line.slice(file.length + 1))
      assert.deepEqual(here, want, what)
    }
    assert.equal(status, 1)
  })

  it('passes a text without them', () => {
    assert.deepEqual(check([['good.md', 'No client can knock.\n']]), { found: [], status: 0 })
  })

  it('says what to write instead', () => {
    const file = path.join(directory, 'instead.md')
    fs.writeFileSync(file, 'It shall work.\n')
    const { stderr } = spawnSync(process.execPath, ['scripts/check-words.js', file], { encoding: 'utf8', cwd: root })
    assert.equal(stderr, `${file}:1:4: "shall": write must, or the present tense\n`)
  })
})
