/** The server's key pair is in a directory of the daemon's user, who leads root nowhere by it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import { ensureServerIdentity } from '../../../src/cli/server/server-key-file.js'
import { loadConfig } from '../../../src/config/load.js'
import { formatIdentity, serverKeyText } from '../../../src/knock/index.js'
import { pkctl } from '../../support/commands.js'

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
    const identity = ensureServerIdentity(state)
    const [credential] = loadConfig(config).config.credentials
    assert.ok(credential && 'identity' in credential && credential.identity.equals(identity))
  })

  it('of a group is in a file beside it, which keygen makes once', () => {
    const file = path.join(directory, 'fleet')
    const made = () => {
      const { stdout, stderr } = spawnSync(process.execPath, [pkctl, 'keygen', '--group', file], { encoding: 'utf8' })
      assert.match(stderr, /^pkctl: hint: a captured knock for the group also opens its other servers, [^\n]*\n$/)
      return stdout
    }
    const identity = made()
    assert.match(identity, /^pk1:[\w-]{43}\n$/)
    assert.equal(made(), identity)
    assert.equal(fs.statSync(file).mode & 0o777, 0o600)
    const staff = '{ type: ssh, authorized-keys: keys, opens: [ssh]'
    const load = (more: string) => {
      const yaml = `credentials: { own: ${staff} }, fleet: ${staff}, identity-file: fleet${more} } }\n`
      const grouped = path.join(directory, 'group.yaml')
      fs.writeFileSync(grouped, `state-directory: ${state}\nservices: { ssh: { port: 22 } }\n${yaml}`, { mode: 0o600 })
      return loadConfig(grouped).config.credentials
    }
    const [own, fleet] = load('')
    assert.ok(own?.type === 'ssh' && 'privateKey' in own && fleet?.type === 'ssh' && 'privateKey' in fleet)
    assert.ok(own.identity.equals(ensureServerIdentity(state)))
    assert.equal(`${formatIdentity(fleet.identity)}\n`, identity)
    assert.equal(fs.readFileSync(file, 'utf8'), serverKeyText({ privateKey: fleet.privateKey ?? assert.fail() }))
    assert.throws(() => load(`, identity: "${identity.trim()}"`), /fleet\.identity-file: 'identity' is given as well/)
    fs.writeFileSync(file, 'pkctl-server-key-1:short\n')
    assert.throws(() => load(''), /identity-file: \S+fleet has no key pair/)
    fs.chmodSync(file, 0o666)
    assert.throws(() => load(''), /identity-file: \S+fleet/)
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
      assert.throws(() => ensureServerIdentity(state), /server-key cannot be read: /)
      assert.deepEqual(fs.readFileSync(elsewhere), before)
      fs.rmSync(key)
      fs.renameSync(elsewhere, key)
    })
  }
})
