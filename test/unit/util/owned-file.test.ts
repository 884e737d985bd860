import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import {
  appendNamed,
  appendOwned,
  isStillThere,
  makeOwnedDirectory,
  openNamed,
  readNamed,
  readOwned,
} from '../../../src/util/owned-file.js'

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
    ['readNamed', () => readNamed(file)],
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
