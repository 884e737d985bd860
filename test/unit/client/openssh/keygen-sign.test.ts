import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { signWithFile } from '../../../../src/client/openssh/keygen-sign.js'
import type { SshPublicKey } from '../../../../src/knock/openssh/index.js'

describe('ssh-keygen', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-keygen-'))
  const { PATH } = process.env
  before(() => {
    fs.writeFileSync(path.join(directory, 'ssh-keygen'), '#!/bin/sh\nkill -STOP $$\n', { mode: 0o755 })
    process.env['PATH'] = `${directory}:${PATH}`
  })
  after(() => {
    process.env['PATH'] = PATH
    fs.rmSync(directory, { recursive: true })
  })

  it('that is stopped is killed when its time is over', async () => {
    const signing = signWithFile('/key', {} as SshPublicKey, 'pkctl', Buffer.from('text'), 100)
    await assert.rejects(signing, /ssh-keygen was ended by SIGKILL, before it had signed/)
  })
})
