/** The server's key pair is in a directory of the daemon's user, who leads root nowhere by it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import { serverIdentity } from '../../../src/cli/client/server-key-files.js'
import { loadConfig } from '../../../src/config/load.js'

describe("the server's key pair", () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-identity-'))
  after(() => fs.rmSync(directory, { recursive: true }))
  const state = path.join(directory, 'state')
  const key = path.join(state, 'server-key')
  const config = path.join(directory, 'pkctl.yaml')
  const phone = `phone: { type: symmetric, key: 0x${'11'.repeat(32)}, opens: [ssh] }`
  fs.writeFileSync(config, `state-directory: ${state}\nservices: { ssh: { port: 22 } }\ncredentials: { ${phone} }\n`, {
    mode: 0o600,
  })

  it('is read', () => {
    const identity = serverIdentity(state)
    const [credential] = loadConfig(config).config.credentials
    assert.ok(credential && 'identity' in credential && credential.identity.equals(identity))
  })

  const plants: readonly [string, (elsewhere: string) => void][] = [
    ['a link', elsewhere => fs.symlinkSync(elsewhere, key)],
    ['another name of a file', elsewhere => fs.linkSync(elsewhere, key)],
    ['a pipe', () => assert.equal(spawnSync('mkfifo', [key]).status, 0)],
    ['a device without end', () => fs.symlinkSync('/dev/zero', key)],
  ]
  for (const [what, plant] of plants) {
    it(`is not read by the configuration, nor made by keygen, where there is ${what}`, () => {
      const elsewhere = path.join(directory, 'elsewhere')
      fs.renameSync(key, elsewhere)
      const before = fs.readFileSync(elsewhere)
      plant(elsewhere)
      assert.throws(() => loadConfig(config), /server-key cannot be read: /)
      assert.throws(() => serverIdentity(state), /server-key cannot be read: /)
      assert.deepEqual(fs.readFileSync(elsewhere), before)
      fs.rmSync(key)
      fs.renameSync(elsewhere, key)
    })
  }
})
