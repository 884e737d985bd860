/** The cache of archives of npm packages that packages are built from. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { root, run } from '../../support/commands.js'

describe('an archive of npm', () => {
  let directory: string
  const npm = (script: string) => {
    fs.writeFileSync(path.join(directory, 'npm'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }
  const integrity = `sha512-${createHash('sha512').update('archive\n').digest('base64')}`
  const fetch = () =>
    run(
      ['bash', '-euc', `. ${root}/scripts/npm-archive.sh; file=$(npm_archive @a/b 1.0.0 ${integrity}); echo "$file"`],
      { env: { XDG_CACHE_HOME: directory, PATH: `${directory}:${process.env['PATH']}` } },
    )
  const cache = () => fs.readdirSync(path.join(directory, 'pkctl/npm')).sort()
  before(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-npm-'))
  })
  after(() => {
    fs.rmSync(directory, { recursive: true })
  })

  it('that cannot be fetched leaves nothing behind, and is fetched the next time', async () => {
    for (const failing of ['exit 1', 'echo missing.tgz']) {
      npm(failing)
      const { status, stderr } = await fetch()
      assert.equal(status, 1)
      assert.match(stderr, /^package: npm cannot fetch @a\/b@1\.0\.0\n$/)
      assert.deepEqual(cache(), ['lock'])
    }
    npm('while [ "$1" != --pack-destination ]; do shift; done; echo archive >"$2/b.tgz"; echo b.tgz')
    const { status, stdout, stderr } = await fetch()
    assert.equal(status, 0, stderr)
    assert.equal(stdout, `${directory}/pkctl/npm/a-b-1.0.0.tgz\n`)
    assert.deepEqual(cache(), ['a-b-1.0.0.tgz', 'lock'])
  })
})
