/** Whose files of keys count: real files, with the owners and modes that sshd would look at. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, beforeEach, describe, it } from 'node:test'
import type { KeyPath } from '../../../src/config/index.js'
import { readKeyFile } from '../../../src/config/index.js'

const own = process.getuid?.() ?? 0
const withoutRoot = own !== 0 && 'only root can give files to others'

describe('a file of keys', () => {
  const above = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-keys-'))
  after(() => {
    fs.rmSync(above, { recursive: true })
  })
  const directory = path.join(above, 'keys')
  const file = path.join(directory, 'file')
  beforeEach(() => {
    fs.rmSync(directory, { recursive: true, force: true })
    fs.mkdirSync(directory, { mode: 0o755 })
    fs.writeFileSync(file, 'content', { mode: 0o644 })
  })
  const at = (place: string, user: string | null = null): KeyPath => ({ written: 'FILE', user, path: place })
  const read = async (place = file, daemon = own, known?: string, user: string | null = null) => {
    const { content } = (await readKeyFile(at(place, user), daemon, known)) ?? {}
    return typeof content === 'string' ? content.replaceAll(above, '') : content?.toString()
  }

  it('is read, also in a directory with the sticky bit', async () => {
    assert.equal(await read(), 'content')
    fs.chmodSync(directory, 0o1777)
    assert.equal(await read(), 'content')
  })

  const refused: readonly [string, () => void, RegExp][] = [
    [
      'that its group can write',
      () => fs.chmodSync(file, 0o664),
      /^\/keys\/file can be written by .* \(mode 0664\); chmod go-w/,
    ],
    ['that others can write', () => fs.chmodSync(file, 0o646), /^\/keys\/file can be written/],
    ['in a directory that others can write', () => fs.chmodSync(directory, 0o757), /^\/keys can be written .*0757/],
    ['in a directory that its group can write', () => fs.chmodSync(directory, 0o775), /^\/keys can be written/],
    ['that is not there', () => fs.rmSync(file), /^FILE cannot be read: there is no such file/],
    [
      'that is a directory',
      () => {
        fs.rmSync(file)
        fs.mkdirSync(file)
      },
      /^\/keys\/file is not a regular file/,
    ],
    [
      'that is a link to a file in a directory that others can write',
      () => {
        fs.mkdirSync(path.join(directory, 'open'))
        fs.writeFileSync(path.join(directory, 'open/target'), '')
        fs.chmodSync(path.join(directory, 'open'), 0o777)
        fs.rmSync(file)
        fs.symlinkSync('open/target', file)
      },
      /^\/keys\/open can be written/,
    ],
  ]
  for (const [what, prepare, message] of refused) {
    it(`${what} does not count`, async () => {
      prepare()
      assert.match((await read()) ?? '', message)
    })
  }

  it('of another user does not count, nor one in the directory of another user', { skip: withoutRoot }, async () => {
    fs.chownSync(file, 4242, 0)
    assert.match((await read()) ?? '', /^\/keys\/file belongs to the user with the number 4242/)
    assert.equal(await read(file, 4242), 'content')
    fs.chownSync(file, 0, 0)
    fs.chownSync(directory, 4242, 0)
    assert.match((await read()) ?? '', /^\/keys belongs to the user with the number 4242/)
    assert.equal(await read(file, 4242), 'content')
  })

  it('is not one to which another user can have led', { skip: withoutRoot }, async () => {
    const other = path.join(above, 'other')
    fs.mkdirSync(other)
    fs.symlinkSync(file, path.join(other, 'link'))
    fs.symlinkSync('../other/link', path.join(directory, 'far'))
    assert.equal(await read(path.join(directory, 'far')), 'content')
    fs.lchownSync(path.join(other, 'link'), 4242, 0)
    assert.match((await read(path.join(directory, 'far'))) ?? '', /^\/other\/link belongs to the user .* 4242/)
    fs.lchownSync(path.join(other, 'link'), 0, 0)
    fs.chownSync(other, 4242, 0)
    assert.match((await read(path.join(directory, 'far'))) ?? '', /^\/other belongs to the user .* 4242/)
    fs.rmSync(other, { recursive: true })
    fs.symlinkSync('loop', path.join(directory, 'loop'))
    assert.match((await read(path.join(directory, 'loop'))) ?? '', /leads through more than 40 links/)
  })

  it('of a home directory counts only if its user can read it', { skip: withoutRoot }, async () => {
    const [name, uid, home] = ['daemon', 1, '/usr/sbin']
    fs.chmodSync(above, 0o755)
    const readTheirs = () => read(path.relative(home, file), own, undefined, name)
    const unreadable = /cannot be read by the user in whose home directory/
    assert.equal(await readTheirs(), 'content')
    fs.chmodSync(file, 0o640)
    assert.match((await readTheirs()) ?? '', unreadable)
    fs.chownSync(file, uid, 0)
    assert.equal(await readTheirs(), 'content')
    // What the user plants there.
    fs.rmSync(file)
    fs.symlinkSync('/etc/shadow', file)
    fs.lchownSync(file, uid, 0)
    assert.match((await readTheirs()) ?? '', unreadable)
    const secret = path.join(above, 'secret')
    fs.mkdirSync(secret, { mode: 0o700 })
    fs.writeFileSync(path.join(secret, 'keys'), 'content', { mode: 0o644 })
    fs.rmSync(file)
    fs.symlinkSync(path.join(secret, 'keys'), file)
    fs.lchownSync(file, uid, 0)
    assert.match((await readTheirs()) ?? '', unreadable)
    fs.chmodSync(secret, 0o711)
    assert.equal(await readTheirs(), 'content')
    fs.rmSync(secret, { recursive: true })
  })

  it('is not waited for, nor read without end', async () => {
    fs.rmSync(file)
    assert.equal(spawnSync('mkfifo', [file]).status, 0)
    assert.match((await read()) ?? '', /^\/keys\/file is not a regular file/)
    fs.rmSync(file)
    fs.writeFileSync(file, '')
    fs.truncateSync(file, 2 ** 31)
    assert.match((await read()) ?? '', /^\/keys\/file is larger than/)
    for (const [target, message] of [
      ['/dev/zero', /is not a regular file/],
      ['/proc/self/maps', /changes while it is read|is being replaced/],
    ] as const) {
      fs.rmSync(file)
      fs.symlinkSync(target, file)
      assert.match((await read()) ?? '', message)
    }
  })

  it('of a user is below the home directory', async () => {
    const refusal = async (user: string) => (await readKeyFile(at('no/such/file', user), own))?.content
    assert.match(
      String(await refusal('nobody-like-that')),
      /^FILE cannot be found: \/etc\/passwd has no user nobody-like-that/,
    )
    assert.match(String(await refusal('root')), /^FILE cannot be read: there is no such file/)
  })

  it('is read again when it has changed, and only then', async () => {
    const old = new Date(Date.now() - 60_000)
    const first = await readKeyFile(at(file), own)
    assert.ok(first)
    // Just changed: another change need not show.
    fs.utimesSync(file, old, old)
    const { stamp } = (await readKeyFile(at(file), own, first.stamp)) ?? {}
    assert.ok(stamp, 'it is looked into again')
    assert.equal(await read(file, own, 'refused: other'), 'content')
    fs.chmodSync(file, 0o666)
    const refusal = await readKeyFile(at(file), own, stamp)
    assert.match(String(refusal?.content), /can be written/)
    assert.equal(await readKeyFile(at(file), own, refusal?.stamp), undefined, 'the same refusal is no news')
  })
})
