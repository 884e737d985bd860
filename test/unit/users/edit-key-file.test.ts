import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { readUserKeys, writeKeyFile } from '../../../src/users/edit-key-file.js'
import { UserError } from '../../../src/util/user-error.js'

describe('a file of keys', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-keys-'))
  after(() => fs.rmSync(directory, { recursive: true }))
  const file = path.join(directory, 'keys')
  const refuses = (act: () => unknown, message: RegExp) =>
    assert.throws(act, (error: Error) => error instanceof UserError && message.test(error.message))

  it('is replaced only while it is as it was read, and leaves nothing beside it', () => {
    writeKeyFile(file, '', 'one\n')
    writeKeyFile(file, 'one\n', 'two\n')
    refuses(() => writeKeyFile(file, 'one\n', 'three\n'), /keys has just been changed/)
    assert.equal(readUserKeys(file), 'two\n')
    assert.deepEqual(fs.readdirSync(directory), ['keys'])
  })

  it('is none where there is a directory, a link, a pipe or a program', () => {
    refuses(() => readUserKeys(directory), /is not a regular file/)
    const link = path.join(directory, 'link')
    fs.symlinkSync(file, link)
    refuses(() => readUserKeys(link), /is a symbolic link/)
    refuses(() => writeKeyFile(link, 'two\n', 'x'), /is a symbolic link/)
    const program = path.join(directory, 'program')
    fs.writeFileSync(program, Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff, 0]))
    refuses(() => readUserKeys(program), /is not text/)
    refuses(() => writeKeyFile(path.join(directory, 'no/keys'), '', 'x'), /there is no directory/)
    assert.equal(readUserKeys(path.join(directory, 'none')), '')
  })
})
