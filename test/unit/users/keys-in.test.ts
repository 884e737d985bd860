/** The keys that `pkctl setup` takes over from a user of the machine. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { sshString } from '../../../src/knock/openssh/index.js'
import { keysIn } from '../../../src/users/users.js'

const key = (byte: number) =>
  `ssh-ed25519 ${Buffer.concat([sshString('ssh-ed25519'), sshString(Buffer.alloc(32, byte))]).toString('base64')}`

describe('the keys in a file of a user', () => {
  let file: string
  before(() => {
    file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-keys-')), 'authorized_keys')
  })
  after(() => {
    fs.rmSync(path.dirname(file), { recursive: true })
  })

  it('count once, and without those of authorities; lines that are refused are named', () => {
    fs.writeFileSync(file, `${key(1)} a\n${key(1)} b\ncert-authority ${key(2)}\nno-such-option ${key(3)}\n${key(4)}\n`)
    const { keys, problems } = keysIn(file)
    assert.deepEqual([keys.map(({ line }) => line), problems.map(({ line }) => line)], [[1, 5], [4]])
  })

  it('are refused where one has different options on two lines', () => {
    fs.writeFileSync(file, `${key(1)} a\nfrom="192.0.2.1" ${key(1)} b\n`)
    assert.throws(() => keysIn(file), {
      name: 'UserError',
      message: /^lines 1 and 2 of .* have the same key with other/,
    })
  })
})
