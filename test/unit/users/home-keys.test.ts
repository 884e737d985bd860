/** What the owner of a home directory writes there takes no access from other users. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { sshString } from '../../../src/knock/openssh/index.js'
import { revokeHomeKeys } from '../../../src/users/index.js'

const blob = (byte: number) =>
  Buffer.concat([sshString('ssh-ed25519'), sshString(Buffer.alloc(32, byte))]).toString('base64')
const key = (byte: number, comment = '') => `ssh-ed25519 ${blob(byte)} ${comment}\n`

describe('keys in home directories', () => {
  let directory: string
  const at = (name: string) => path.join(directory, name)
  const write = (name: string, text: string) => fs.writeFileSync(at(name), text)
  const list = () => fs.readFileSync(at('revoked'), 'utf8')
  const home = (user: string) => ({ written: `~${user}/keys`, user, path: 'keys' })
  const place = (more: object = {}) => ({
    ...{ credential: 'people', opens: [], socket: '/nowhere', files: [at('all')], revoked: [at('revoked')] },
    homes: [home('bob'), home('carol')],
    ...more,
  })

  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-homes-'))
    for (const user of ['bob', 'carol']) fs.mkdirSync(at(user))
    write('revoked', '')
    const users = ['bob', 'carol'].map(user => `${user}:x:4242:4242::${at(user)}:/bin/sh\n`).join('')
    const real = promises.readFile
    mock.method(promises, 'readFile', (file: string, encoding: BufferEncoding) =>
      file === '/etc/passwd' ? Promise.resolve(users) : real(file, encoding),
    )
    syncBuiltinESMExports()
  })
  afterEach(() => {
    mock.restoreAll()
    syncBuiltinESMExports()
    fs.rmSync(directory, { recursive: true })
  })

  it('are revoked, but not those that another user has as well', async () => {
    write('bob/keys', key(1, 'laptop') + key(2) + key(3))
    write('carol/keys', key(2, 'carol'))
    write('all', key(3, 'dora'))
    const { revoked, listed, left } = await revokeHomeKeys([place()], 'bob')
    assert.equal(list(), key(1, 'laptop'))
    assert.deepEqual([revoked.length, listed.length, left.length], [1, 1, 1])
    assert.match(
      String(left),
      /^bob may still knock for people: the key SHA256:\S+ is in ~carol\/keys as well, so it is not listed as revoked; the same applies to 1 other key$/,
    )
  })

  it('of another credential with the same list are not revoked, either', async () => {
    write('bob/keys', key(2))
    write('carol/keys', key(2))
    const [bobs, carols] = [
      place({ homes: [home('bob')] }),
      place({ credential: 'admins', homes: [home('carol')], files: [] }),
    ]
    assert.equal((await revokeHomeKeys([bobs], 'bob', [bobs, carols])).left.length, 1)
    assert.equal(list(), '')
    const apart = { ...carols, revoked: [at('other')] }
    assert.deepEqual((await revokeHomeKeys([bobs], 'bob', [bobs, apart])).left, [])
    assert.equal(list(), key(2))
  })

  it('of another user are not revoked by a comment there', async () => {
    write('bob/keys', key(1, 'carol') + key(2, 'carol'))
    write('all', key(2, 'carol'))
    const { revoked, left } = await revokeHomeKeys([place()], 'carol')
    assert.equal(list(), key(2, 'carol'), 'the one that a file of the administrator names as well')
    assert.equal(revoked.length, 1)
    assert.match(
      String(left),
      /^carol may .* SHA256:\S+ is theirs only by a comment in ~bob\/keys, so it is not listed/,
    )
  })

  it('are left where the list would be larger than pkctld reads', async () => {
    const line = key(1)
    const long = `# ${'x'.repeat(16 * 1024 * 1024 - line.length - 2)}\n`
    write('revoked', long)
    write('bob/keys', line)
    const { revoked, left } = await revokeHomeKeys([place()], 'bob')
    assert.deepEqual(revoked, [])
    assert.match(String(left), /^bob may still knock for people: .* would be larger than 16 MiB, which pkctld refuses$/)
    assert.equal(list(), long)
  })

  it('are looked for in a list that is read once, however many they are', async () => {
    const count = 200
    write('bob/keys', Array.from({ length: count }, (_, i) => key(i)).join(''))
    const reads = mock.method(fs, 'openSync')
    syncBuiltinESMExports()
    assert.equal((await revokeHomeKeys([place()], 'bob')).listed.length, count)
    const ofList = reads.mock.calls.filter(({ arguments: [file] }) => String(file).endsWith('/revoked'))
    assert.ok(ofList.length < 10, `${ofList.length} times`)
  })
})
