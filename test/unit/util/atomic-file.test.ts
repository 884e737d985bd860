import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { replaceFile, writeTemporary } from '../../../src/util/atomic-file.js'

describe('replaceFile', () => {
  let directory: string
  let file: string
  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-atomic-'))
    file = path.join(directory, 'file')
  })
  afterEach(() => fs.rmSync(directory, { recursive: true }))

  const names = () => fs.readdirSync(directory).sort()
  const textOf = (name: string) => fs.readFileSync(path.join(directory, name), 'utf8')

  it('creates a file that only its owner can read, whatever the umask', () => {
    const umask = process.umask(0)
    try {
      replaceFile(file, 'new', { sync: true })
    } finally {
      process.umask(umask)
    }
    assert.deepEqual([names(), textOf('file'), fs.statSync(file).mode & 0o777], [['file'], 'new', 0o600])
  })

  it('replaces a file as a whole: who has the old one open keeps it', () => {
    fs.writeFileSync(file, 'old and longer')
    const reader = fs.openSync(file, 'r')
    replaceFile(file, 'new', { mode: 0o640 })
    assert.equal(fs.readFileSync(reader, 'utf8'), 'old and longer')
    fs.closeSync(reader)
    assert.deepEqual([names(), textOf('file'), fs.statSync(file).mode & 0o777], [['file'], 'new', 0o640])
  })

  it('replaces a symbolic link and leaves its target unchanged', () => {
    fs.writeFileSync(path.join(directory, 'target'), 'precious')
    fs.symlinkSync('target', file)
    replaceFile(file, 'new')
    assert.deepEqual([textOf('target'), textOf('file'), fs.lstatSync(file).isFile()], ['precious', 'new', true])
  })

  it('does not follow a symbolic link that was planted in place of the temporary file', () => {
    fs.writeFileSync(path.join(directory, 'target'), 'precious')
    for (const target of ['target', 'not-there']) {
      fs.symlinkSync(target, `${file}.new`)
      replaceFile(file, 'new')
      assert.deepEqual([names(), textOf('target'), textOf('file')], [['file', 'target'], 'precious', 'new'])
    }
  })

  it('takes the place of a temporary file that a crash left behind', () => {
    fs.writeFileSync(`${file}.new`, 'half of what was to be wri')
    replaceFile(file, 'new')
    assert.deepEqual([names(), textOf('file')], [['file'], 'new'])
  })

  const failures: readonly [string, () => void][] = [
    [
      'the file cannot be prepared',
      () =>
        replaceFile(file, 'new', {
          prepare: () => {
            throw new Error('no')
          },
        }),
    ],
    [
      'the content cannot be written',
      () =>
        replaceFile(file, 'new', {
          prepare: descriptor => {
            fs.closeSync(descriptor)
            // The number now belongs to a file that can only be read.
            while (fs.openSync('/dev/null', 'r') !== descriptor);
          },
        }),
    ],
  ]
  for (const [name, fail] of failures) {
    it(`leaves the old file, and nothing else, when ${name}`, () => {
      fs.writeFileSync(file, 'old')
      assert.throws(fail)
      assert.deepEqual([names(), textOf('file')], [['file'], 'old'])
    })
  }

  it('leaves what is there, and nothing else, when the file cannot be renamed', () => {
    fs.mkdirSync(file)
    assert.throws(() => replaceFile(file, 'new'), { code: 'EISDIR' })
    assert.deepEqual([names(), fs.statSync(file).isDirectory()], [['file'], true])
  })

  it('prepares the file before anything is in it', () => {
    let size = -1
    replaceFile(file, 'new', { prepare: descriptor => (size = fs.fstatSync(descriptor).size) })
    assert.equal(size, 0)
  })

  describe('writeTemporary', () => {
    it('shows nothing under the name until it is given', () => {
      fs.writeFileSync(file, 'old')
      const next = writeTemporary(file, 'new', { temporary: `${file}.tmp` })
      assert.deepEqual([names(), textOf('file')], [['file', 'file.tmp'], 'old'])
      next.replace()
      fs.writeSync(next.descriptor, ', and more')
      fs.closeSync(next.descriptor)
      assert.deepEqual([names(), textOf('file')], [['file'], 'new, and more'])
    })

    it('creates a file, and refuses to replace one', () => {
      const make = () => {
        const next = writeTemporary(file, 'new')
        try {
          next.create()
        } finally {
          fs.closeSync(next.descriptor)
          next.discard()
        }
      }
      make()
      fs.writeFileSync(file, 'old')
      assert.throws(make, { code: 'EEXIST', dest: file })
      assert.deepEqual([names(), textOf('file')], [['file'], 'old'])
    })
  })
})
