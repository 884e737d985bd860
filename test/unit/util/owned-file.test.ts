import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fsItself, * as fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import * as net from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import {
  appendNamed,
  appendOwned,
  isStillThere,
  makeNew,
  makeOwnedDirectory,
  openNamed,
  readNamed,
  readOwned,
} from '../../../src/util/owned-file.js'
import { removeFile, renameFile, replaceFile } from '../../../src/util/atomic-file.js'
import { History } from '../../../src/daemon/history.js'
import { fileLock } from '../../../src/nft/lock.js'
import { announceOwner } from '../../../src/nft/owner-request.js'
import { addHostEntry } from '../../../src/client/add-host-entry.js'
import { ReplayJournal } from '../../../src/controller/replay/replay-journal.js'
import { writeFiles } from '../../../src/import/write-files.js'
import { restoreFiles } from '../../../src/safety/undo-files.js'
import { ask } from '../../../src/util/socket/client.js'
import { listenThere } from '../../../src/util/socket/listen-there.js'
import { listen } from '../../../src/util/socket/server.js'
import { giveToGroup, removeStale } from '../../../src/util/socket/socket-file.js'
import { writeKeyFile } from '../../../src/users/edit-key-file.js'

/** Of the user `nobody`. */
const other = 65_534
const isRoot = process.geteuid?.() === 0

describe('files in a directory of another user', { skip: isRoot ? false : 'needs root' }, () => {
  let top: string
  let directory: string
  let file: string
  let precious: string
  beforeEach(() => {
    top = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-owned-'))
    directory = path.join(top, 'state')
    file = path.join(directory, 'file')
    precious = path.join(top, 'precious')
    fs.mkdirSync(directory)
    fs.chownSync(directory, other, other)
    fs.writeFileSync(precious, 'precious')
  })
  afterEach(() => fs.rmSync(top, { recursive: true }))

  const ownerOf = (name: string) => fs.lstatSync(name).uid
  const plants: readonly [string, () => void][] = [
    ['a link to a file', () => fs.symlinkSync(precious, file)],
    ['a link to nothing', () => fs.symlinkSync(path.join(top, 'made'), file)],
    ['another name of a file', () => fs.linkSync(precious, file)],
    ['a pipe', () => assert.equal(spawnSync('mkfifo', [file]).status, 0)],
    ['a directory', () => fs.mkdirSync(file)],
  ]
  const openings: readonly [string, () => void][] = [
    ['appendOwned', () => appendOwned(file, 0o600)],
    ['appendNamed', () => appendNamed(file, 0o600)],
    ['openNamed', () => openNamed(file)],
    ['readOwned', () => readOwned(file)],
    ['readNamed', () => readNamed(file, 1000)],
  ]
  for (const [what, plant] of plants) {
    for (const [name, open] of openings) {
      it(`${name} refuses ${what}`, () => {
        plant()
        assert.throws(open, /ELOOP|ENXIO|EISDIR|is not a regular file/)
        assert.equal(fs.readFileSync(precious, 'utf8'), 'precious')
        assert.deepEqual(fs.readdirSync(top).sort(), ['precious', 'state'])
      })
    }
  }

  describe('behind a link in the place of a directory', () => {
    const below = () => path.join(directory, 'below')
    const inside = () => path.join(below(), 'file')
    const acts: readonly [string, () => unknown][] = [
      ['appendOwned', () => appendOwned(inside(), 0o600)],
      ['appendNamed', () => appendNamed(inside(), 0o600)],
      ['openNamed', () => openNamed(inside())],
      ['readOwned', () => readOwned(inside())],
      ['readNamed', () => readNamed(inside(), 1000)],
      ['makeNew', () => makeNew(inside(), 0o600, () => undefined)],
      ['makeOwnedDirectory', () => makeOwnedDirectory(inside())],
      ['replaceFile', () => replaceFile(inside(), 'planted')],
      ['removeFile', () => removeFile(inside())],
      ['renameFile', () => renameFile(inside(), 'other')],
      ['giveToGroup', () => giveToGroup(other, { path: inside(), group: 'nogroup' })],
      ['writeFiles of an import', () => writeFiles([{ path: inside(), content: 'planted' }], true)],
      ['restoreFiles, of a text', () => restoreFiles([{ path: inside(), text: 'planted' }])],
      ['restoreFiles, of no file', () => restoreFiles([{ path: inside(), text: null }])],
      ['announceOwner', () => announceOwner(below(), undefined)],
      ['writeKeyFile', () => writeKeyFile(inside(), 'precious', 'planted')],
    ]
    const elsewhere = () => path.join(top, 'elsewhere')
    beforeEach(() => {
      fs.mkdirSync(elsewhere())
      fs.writeFileSync(path.join(elsewhere(), 'file'), 'precious')
    })
    const intact = () => {
      assert.deepEqual(fs.readdirSync(elsewhere()), ['file'])
      assert.equal(fs.readFileSync(path.join(elsewhere(), 'file'), 'utf8'), 'precious')
    }
    for (const [name, act] of acts) {
      it(`${name} goes nowhere`, () => {
        fs.symlinkSync(elsewhere(), below())
        assert.throws(act, /symbolic link, which a user other than root can have made/)
        intact()
        fs.rmSync(path.join(elsewhere(), 'file'))
        assert.throws(act, /symbolic link/)
        assert.deepEqual(fs.readdirSync(elsewhere()), [])
      })

      it(`${name} goes nowhere two directories further, or by a way back`, () => {
        fs.mkdirSync(path.join(directory, 'real'))
        fs.symlinkSync('real/../../elsewhere', below())
        assert.throws(act, /symbolic link/)
        fs.rmSync(below())
        fs.symlinkSync(directory, path.join(top, 'of-root'))
        fs.symlinkSync(elsewhere(), path.join(directory, 'of-user'))
        fs.symlinkSync('of-root/of-user', path.join(top, 'both'))
        directory = path.join(top, 'both')
        assert.throws(() => readOwned(path.join(directory, 'file')), /of-user is a symbolic link/)
        intact()
      })
    }

    it('no socket is removed, and no directory is made for a socket or a lock', async () => {
      fs.symlinkSync(elsewhere(), below())
      const made = path.join(below(), 'made/file')
      for (const act of [
        () => removeStale(inside()),
        () => removeStale(made),
        () => fileLock(made)(() => Promise.resolve()),
      ])
        await assert.rejects(async () => act(), /symbolic link, which a user other than root can have made/)
      intact()
    })

    it('the host entry of an invitation is written nowhere, and no directory for it is made', () => {
      const invitation = { host: 'a.example', port: null, identity: Buffer.alloc(32), services: [], key: null }
      fs.writeFileSync(path.join(elsewhere(), 'file'), 'precious: { host: b.example, key: test }')
      fs.symlinkSync(elsewhere(), below())
      for (const made of [inside(), path.join(below(), 'made/hosts.yaml')])
        assert.throws(() => addHostEntry(made, 'a', invitation), /symbolic link, which a user other than root can have/)
      assert.deepEqual(fs.readdirSync(elsewhere()), ['file'])
      assert.doesNotMatch(fs.readFileSync(path.join(elsewhere(), 'file'), 'utf8'), /a\.example/)
    })

    it('a server listens and ends in the directory that it found, which is replaced meanwhile', async () => {
      const moved = path.join(directory, 'moved')
      const swap = () => {
        fs.renameSync(below(), moved)
        fs.symlinkSync(elsewhere(), below())
      }
      const back = () => {
        fs.rmSync(below())
        fs.renameSync(moved, below())
      }
      fs.mkdirSync(below())
      fs.chownSync(below(), other, other)
      const place = { path: path.join(below(), 'sock'), group: null }
      const answer = () => Promise.resolve({ ok: true, result: 'answered' } as const)

      const first = await listen(place, answer)
      assert.deepEqual(await ask(place.path, { request: 'any' }), { ok: true, result: 'answered' })
      swap()
      fs.writeFileSync(path.join(elsewhere(), 'sock'), 'precious')
      await first.close('ends')
      assert.deepEqual([fs.readdirSync(elsewhere()), fs.readdirSync(moved)], [['file', 'sock'], []])
      fs.rmSync(path.join(elsewhere(), 'sock'))

      back()
      const server = net.createServer()
      const begin = server.listen.bind(server)
      server.listen = ((name: string, done: () => void) => {
        swap()
        return begin(name, done)
      }) as unknown as typeof server.listen
      await listenThere(server, place)
      assert.deepEqual([fs.readdirSync(elsewhere()), fs.readdirSync(moved)], [['file'], ['sock']])
      await new Promise(ended => server.close(ended))
      assert.deepEqual(fs.readdirSync(moved), [])
      intact()
    })

    it('a full replay journal is not renamed', () => {
      const limits = { entries: 1_000_000, anyClockEntries: 1000 }
      const credential = { identity: Buffer.alloc(32), skew: 1 }
      const honour = (journal: ReplayJournal, count: number, now: number) => {
        for (let i = 0; i < count; i++)
          journal.append(credential, createHash('sha256').update(`${now} ${i}`).digest(), 0, now)
        journal.commit(now)
      }
      const journal = ReplayJournal.open(directory, limits, 1000)
      honour(journal, 40_000, 1000)
      const state = `${directory}-moved`
      fs.renameSync(directory, state)
      fs.symlinkSync(elsewhere(), directory)
      fs.chownSync(top, other, other)
      // The same file: nothing but the way to it is another one.
      fs.linkSync(path.join(state, 'replays'), path.join(elsewhere(), 'replays'))
      assert.throws(() => honour(journal, 1, 2000), /symbolic link, which a user other than root can have made/)
      journal.close()
      assert.deepEqual(fs.readdirSync(elsewhere()).sort(), ['file', 'replays'])
    })

    it('a full history is not renamed', () => {
      const history = new History(directory, 400, () => undefined)
      history.add('info', 'first')
      const state = `${directory}-moved`
      fs.renameSync(directory, state)
      fs.symlinkSync(elsewhere(), directory)
      fs.chownSync(top, other, other)
      // The same file: nothing but the way to it is another one.
      fs.linkSync(path.join(state, 'history'), path.join(elsewhere(), 'history'))
      for (let i = 0; i < 10; i++) history.add('info', `message ${i}`)
      history.close()
      assert.deepEqual(fs.readdirSync(elsewhere()).sort(), ['file', 'history'])
    })

    it('follows a link of root, also one in a directory such as /tmp', () => {
      fs.chmodSync(top, 0o1777)
      fs.symlinkSync('elsewhere', path.join(top, 'link'))
      const file = path.join(top, 'link/file')
      assert.equal(readOwned(file).toString(), 'precious')
      replaceFile(file, 'new')
      assert.equal(fs.readFileSync(path.join(elsewhere(), 'file'), 'utf8'), 'new')
      fs.lchownSync(path.join(top, 'link'), other, other)
      assert.throws(() => readOwned(file), /link is a symbolic link/)
    })

    it('names the file in its errors, not the way to it', () => {
      const missing = path.join(elsewhere(), 'missing')
      assert.throws(() => readOwned(missing), { code: 'ENOENT', path: missing, message: new RegExp(`'${missing}'`) })
      assert.throws(() => readOwned(path.join(missing, 'file')), { code: 'ENOENT', path: path.join(missing, 'file') })
      assert.throws(() => makeNew(path.join(elsewhere(), 'file'), 0o600, () => undefined), { code: 'EEXIST' })
    })
  })

  for (const [name, open] of openings) {
    it(`${name} refuses a file that its owner moves to another directory meanwhile`, () => {
      fs.writeFileSync(file, '')
      const elsewhere = path.join(directory, 'elsewhere')
      fs.mkdirSync(elsewhere)
      const { fstatSync } = fsItself
      mock.method(fsItself, 'fstatSync', (descriptor: number) => {
        const stat = fstatSync(descriptor)
        if (fs.existsSync(file) && fs.readlinkSync(`/proc/self/fd/${descriptor}`) === file)
          fs.renameSync(file, path.join(elsewhere, 'file'))
        return stat
      })
      syncBuiltinESMExports()
      try {
        assert.throws(open, { code: 'ENOENT' })
      } finally {
        mock.restoreAll()
        syncBuiltinESMExports()
      }
    })
  }

  it('reads no more than the limit', () => {
    fs.writeFileSync(file, '12345')
    assert.equal(readNamed(file, 5).toString(), '12345')
    assert.throws(() => readNamed(file, 4), /is larger than/)
    fs.truncateSync(file, 2 ** 40)
    assert.throws(() => readOwned(file), /is larger than 512 MiB/)
    assert.throws(() => readNamed('/dev/zero', 5), /is not a regular file/)
  })

  it('gives a new file, and a new directory, to the owner of the directory', () => {
    for (const open of [appendOwned, appendNamed]) {
      fs.closeSync(open(file, 0o600))
      assert.deepEqual([ownerOf(file), fs.statSync(file).mode & 0o777], [other, 0o600])
      fs.rmSync(file)
    }
    makeOwnedDirectory(path.join(directory, 'inner'))
    assert.equal(ownerOf(path.join(directory, 'inner')), other)
    makeOwnedDirectory(directory)
    assert.equal(ownerOf(directory), other)
  })

  it('goes on with a file that is there, as it is', () => {
    fs.writeFileSync(file, 'one ')
    const descriptor = appendOwned(file, 0o600)
    fs.writeSync(descriptor, 'two')
    fs.closeSync(descriptor)
    assert.deepEqual([readOwned(file).toString(), ownerOf(file)], ['one two', 0])
  })

  it('follows links in a directory that only root can write', () => {
    const link = path.join(top, 'link')
    fs.symlinkSync(precious, link)
    fs.closeSync(openNamed(link))
    const descriptor = appendNamed(link, 0o600)
    fs.writeSync(descriptor, '!')
    fs.closeSync(descriptor)
    assert.equal(fs.readFileSync(precious, 'utf8'), 'precious!')
    fs.chmodSync(top, 0o777)
    assert.throws(() => openNamed(link), { code: 'ELOOP' })
  })

  it('notices when a file is removed or replaced', () => {
    const descriptor = appendOwned(file, 0o600)
    assert.equal(isStillThere(file, descriptor), true)
    fs.renameSync(file, `${file}.old`)
    assert.equal(isStillThere(file, descriptor), false)
    fs.symlinkSync('file.old', file)
    assert.equal(isStillThere(file, descriptor), false)
    fs.closeSync(descriptor)
  })
})
