import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { addTable } from '../../../src/nft/nft-json.js'
import { openSession } from '../../../src/nft/nft-session.js'

/** An nft that answers questions, complains of `delete`, and ends at `flush`. */
const program = `#!/bin/sh
echo "$HOME $*" >"$0.environment"
while read -r line; do
  case $line in
  *'"list"'*) echo '{"nftables": [{"metainfo": {"version": "1.1.3"}}]}' ;;
  *'"delete"'*) printf 'internal:0:0-0: Error: Could not process rule: Device or resource busy\\n\\n' >&2 ;;
  *'"flush"'*) echo 'out of memory' >&2; exit 3 ;;
  esac
done
`

describe('an nft session', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-session-'))
  const searched = process.env['PATH']
  before(() => {
    fs.writeFileSync(path.join(directory, 'nft'), program, { mode: 0o755 })
    process.env['PATH'] = `${directory}:${searched}`
  })
  after(() => {
    process.env['PATH'] = searched
    fs.rmSync(directory, { recursive: true })
  })

  it('matches answers and complaints with requests, also with several at once', async () => {
    const session = openSession()
    const complaints = await Promise.all([
      session.run('one', [addTable()]),
      session.run('two', [{ delete: { table: {} } }]),
      session.run('three', [addTable()]),
    ])
    assert.deepEqual(
      complaints.map(complaint => /Error: .*/.exec(complaint)?.[0]),
      [undefined, 'Error: Could not process rule: Device or resource busy', undefined],
    )
    assert.equal(complaints[0], '')
    await session.close()
    assert.equal(fs.readFileSync(path.join(directory, 'nft.environment'), 'utf8'), '/dev/null -j -i\n')
    await assert.rejects(session.run('late', [addTable()]), /session ended/)
  })

  it('does not run what is staged before it is told to, nor when its input ends there', async () => {
    const file = path.join(directory, 'nft')
    fs.writeFileSync(file, '#!/bin/sh\nexec cat >"$0.input"\n', { mode: 0o755 })
    const session = openSession()
    session.stage('one', [addTable()])
    await session.close()
    fs.writeFileSync(file, program, { mode: 0o755 })
    const text = fs.readFileSync(`${file}.input`, 'utf8')
    assert.match(text, /"add".*"pkctl"/)
    assert.throws(() => JSON.parse(text) as unknown, 'nft takes the rest of its input for a line')
    const another = openSession()
    const run = another.stage('two', [{ delete: { table: {} } }])
    assert.match(await run(), /Device or resource busy/)
    await another.close()
  })

  it('tells what waits, and who asks, why it ended', async () => {
    const session = openSession()
    const results = await Promise.allSettled([session.run('one', [{ flush: {} }]), session.run('two', [addTable()])])
    for (const result of results) assert.match(String((result as PromiseRejectedResult).reason), /ended: out of memory/)
    assert.equal(await session.ended, 'out of memory')
  })

  it('without a program to start, ends at once', async () => {
    const before = process.env['PATH']
    process.env['PATH'] = directory
    const session = openSession()
    process.env['PATH'] = before
    await assert.rejects(session.run('one', [addTable()]), /ENOENT/)
  })
})
