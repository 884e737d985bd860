/** scripts/check-imports.js finds imports that cross a border, circles, and what is exported for no other file or twice. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { root } from '../../support/commands.js'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-imports-'))
after(() => fs.rmSync(directory, { recursive: true }))

type Files = Readonly<Record<string, string>>

/** What the check prints for a repository of these files. */
function check(files: Files): string[] {
  fs.rmSync(directory, { recursive: true, force: true })
  for (const folder of ['src', 'test', 'scripts']) fs.mkdirSync(path.join(directory, folder), { recursive: true })
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(directory, name)), { recursive: true })
    fs.writeFileSync(path.join(directory, name), text)
  }
  const script = path.join(root, 'scripts/check-imports.js')
  const { stderr, status } = spawnSync(process.execPath, [script, directory], { encoding: 'utf8' })
  const lines = stderr.split('\n').filter(line => line !== '')
  assert.equal(status, lines.length > 0 ? 1 : 0, stderr)
  return lines
}

const passing = 'export const passes = 1\n'
const taking = "import { passes } from './a.js'\n"

const cases: readonly (readonly [what: string, files: Files, want: readonly RegExp[]])[] = [
  ['nothing where the name is imported beside it', { 'src/net/a.ts': passing, 'src/net/b.ts': taking }, []],
  [
    'nothing where a test or a script imports it',
    {
      'src/net/a.ts': passing,
      'src/net/b.ts': 'export const more = 1\n',
      'test/a.test.ts': "import { passes } from '../src/net/a.js'\n",
      'scripts/b.js': "import { more as other } from '../dist/src/net/b.js'\n",
    },
    [],
  ],
  [
    'an export whose name is only a word in a script, or a part of one',
    { 'src/net/a.ts': passing, 'scripts/a.js': '// it passes\nconst passesBy = 1\n' },
    [/^src\/net\/a\.ts: no other file imports passes: do not export it$/],
  ],
  [
    'a room that the other must not import, and a file beside its index',
    { 'src/net/a.ts': "import { b } from '../nft/b.js'\n", 'src/nft/b.ts': 'export const b = 1\n' },
    [
      /^src\/net\/a\.ts: net must not import nft/,
      /^src\/net\/a\.ts: import src\/nft\/b\.ts through the index\.ts of nft$/,
    ],
  ],
  [
    'folders of a room that are apart',
    { 'src/nft/table/a.ts': "import { b } from '../foreign/b.js'\n", 'src/nft/foreign/b.ts': 'export const b = 1\n' },
    [/^src\/nft\/table\/a\.ts: nft\/table must not import nft\/foreign/],
  ],
  [
    'a circle, over any number of files',
    {
      'src/net/a.ts': "import './b.js'\nimport { b } from './b.js'\nexport const a = b\n",
      'src/net/b.ts': "import { c } from './c.js'\nexport const b = c\n",
      'src/net/c.ts': "import { a } from './a.js'\nexport const c = () => a\n",
    },
    [/these import each other in a circle$/],
  ],
  [
    'what an index offers and no other file takes',
    { 'src/net/a.ts': passing, 'src/net/index.ts': "export { passes } from './a.js'\n" },
    [/^src\/net\/index\.ts: no other file imports passes: do not offer it$/],
  ],
  [
    'a name that two files export, but for the kinds of credentials',
    {
      'src/net/a.ts': passing,
      'src/util/b.ts': passing,
      'src/config/credentials/c.ts': 'export const kind = 1\n',
      'src/config/credentials/d.ts': 'export const kind = 2\n',
      'test/a.test.ts': ['net/a', 'util/b'].map(file => `import { passes } from '../src/${file}.js'\n`).join(''),
      'test/b.test.ts': ['c', 'd']
        .map(file => `import { kind } from '../src/config/credentials/${file}.js'\n`)
        .join(''),
    },
    [/^src\/util\/b\.ts: src\/net\/a\.ts exports a passes, too: name one of them after what it is$/],
  ],
  ['a folder that is no room', { 'src/new/a.ts': 'const a = 1\n' }, [/^src\/new\/a\.ts: src\/new is not a room/]],
]

describe('check-imports', () => {
  for (const [what, files, want] of cases) {
    it(`finds ${what}`, () => {
      const found = check(files)
      assert.equal(found.length, want.length, found.join('\n'))
      for (const [i, pattern] of want.entries()) assert.match(found[i] ?? '', pattern)
    })
  }
})
