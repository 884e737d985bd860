/** Services that no knock opens, although a credential says so. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { ensureServerIdentity } from '../../../src/cli/server/server-key-file.js'
import { loadConfig } from '../../../src/config/index.js'
import type { KeyPath } from '../../../src/config/credentials/any-credential.js'
import { unopenedServices } from '../../../src/config/unopened-services.js'

const key = fs.readFileSync('test/vectors/openssh/ed25519.pub', 'utf8')
const machine = { interfaces: [{ name: 'eth0', master: null }], addresses: ['192.0.2.7', '2001:db8::7'] }

describe('the ways into a service', () => {
  let directory: string
  const write = (name: string, text: string) => fs.writeFileSync(path.join(directory, name), text)
  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-ways-'))
    ensureServerIdentity(directory)
  })
  afterEach(() => fs.rmSync(directory, { recursive: true }))

  /** The warnings for one service with these credentials. */
  async function warnings(
    credentials: Record<string, object>,
    service: object = { port: 22 },
    isHidden?: (file: KeyPath) => boolean,
  ): Promise<string[]> {
    write(
      'pkctl.yaml',
      JSON.stringify({
        'state-directory': directory,
        services: { ssh: service },
        credentials,
      }),
    )
    const { config } = loadConfig(path.join(directory, 'pkctl.yaml'))
    return unopenedServices(config, isHidden, machine)
  }
  const people = (more: object = {}) => ({
    type: 'ssh',
    'authorized-keys': 'keys',
    opens: ['ssh'],
    ...more,
  })
  const vpn = {
    type: 'pkd',
    tag: 'SSHK',
    key: 'test',
    interface: ['wg0'],
    opens: ['ssh'],
  }
  const once = { type: 'one-time', 'sequences-file': 'list', opens: ['ssh'] }
  const only = "; only 'pkctl add ADDRESS --service ssh' gives a source access"
  const useless = (reasons: string) => [`services.ssh: no credential that opens it can be used now: ${reasons}${only}`]

  it('are none where the files of keys are missing, empty, or have no key for it', async () => {
    const none = useless('people (no key in its files opens it)')
    assert.deepEqual(await warnings({ people: people() }), none)
    for (const text of ['', '# none\n', `opens="web" ${key}`, `expiry-time="20200101" ${key}`]) {
      write('keys', text)
      assert.deepEqual(await warnings({ people: people() }), none, text)
    }
    write('keys', `opens="ssh" ${key}`)
    assert.deepEqual(await warnings({ people: people() }), [])
    write('keys', key)
    assert.deepEqual(await warnings({ people: people() }), [])
    assert.deepEqual(await warnings({ people: people({ 'revoked-keys': 'missing' }) }), none)
    write('revoked', key)
    assert.deepEqual(await warnings({ people: people({ 'revoked-keys': 'revoked' }) }), none)
  })

  it('are none where the service cannot read the file of keys that root can', async () => {
    write('keys', key)
    const hidden = (file: KeyPath) => file.path === path.join(directory, 'keys')
    const none = useless('people (no key in its files opens it)')
    assert.deepEqual(await warnings({ people: people() }, { port: 22 }, hidden), none)
    const atHome = { people: people({ 'authorized-keys': ['~una/keys', '~dora/keys'] }) }
    const ofUsers = (users: readonly string[]) => (file: KeyPath) => users.includes(file.user ?? '')
    assert.deepEqual(await warnings(atHome, { port: 22 }, ofUsers(['una'])), [])
    assert.deepEqual(await warnings(atHome, { port: 22 }, ofUsers(['una', 'dora'])), none)
  })

  it('are looked for without a pause of the daemon, also among very many keys', async () => {
    const expired = `expiry-time="20200101" ${key}`
    write('keys', expired.repeat(4000))
    let beats = 0
    const beat = setInterval(() => beats++, 1)
    const ssh = Array.from({ length: 3 }, (_, i) => [`people${i}`, people()] as const)
    const reads = mock.method(promises, 'open')
    syncBuiltinESMExports()
    try {
      const [warning = ''] = await warnings(Object.fromEntries(ssh))
      assert.match(warning, /no credential that opens it can be used now: people0 \(no key in its files opens it\)/)
    } finally {
      clearInterval(beat)
      reads.mock.restore()
      syncBuiltinESMExports()
    }
    assert.ok(beats >= 20, `${beats} times`)
    assert.equal(reads.mock.callCount(), 1, 'the file is read once')
  })

  it('are none where no interface of a credential is there', async () => {
    const none = 'vpn (there is no interface wg0 now)'
    assert.deepEqual(await warnings({ vpn }), useless(none))
    assert.deepEqual(
      await warnings({ vpn, people: people() }),
      useless(`${none}, people (no key in its files opens it)`),
    )
    assert.deepEqual(await warnings({ vpn: { ...vpn, interface: ['wg0', 'eth*'] } }), [])
  })

  it('are none where no sequence can be sent to this machine as it has to be', async () => {
    const sequence = { type: 'sequence', sequence: [7000, 8000, 9000], opens: ['ssh'] }
    const cases: readonly [string, object, string?][] = [
      ['no target', {}],
      ['an address of the machine', { target: ['192.0.2.99', '2001:DB8:0::7'] }],
      ['others', { target: ['192.0.2.99'] }, 'its target 192.0.2.99 is no address of this machine now'],
      ['flags that no client sends', { 'tcp-flags': ['syn', 'ack'] }, 'no client sends its tcp-flags'],
      ['no step with flags', { 'tcp-flags': ['syn', 'ack'], sequence: ['7000:udp', '8000:udp', '9000:udp'] }],
    ]
    for (const [name, more, why] of cases)
      assert.deepEqual(
        await warnings({ knockd: { ...sequence, ...more } }),
        why === undefined ? [] : useless(`knockd (${why})`),
        name,
      )
  })

  it('are none where no sequence is left', async () => {
    write('list', '#1,2,3\n')
    assert.deepEqual(await warnings({ once }), useless('once (it has no sequence left)'))
    write('list', ' 1,2,3\n')
    assert.deepEqual(await warnings({ once }), [])
  })

  it('are none where each sequence that is left has flags that no client sends', async () => {
    const flags = { ...once, 'tcp-flags': ['syn', 'ack'] }
    write('list', ' 1,2,3\n 1:udp,2:udp,3\n#1:udp,2:udp,3:udp\n')
    assert.deepEqual(await warnings({ once: flags }), useless('once (no client sends its tcp-flags)'))
    write('list', ' 1,2,3\n 1:udp,2:udp,3:udp\n')
    assert.deepEqual(await warnings({ once: flags }), [])
  })

  it('are there by one that works, by the allowlist, and where the service only watches', async () => {
    assert.deepEqual(await warnings({ vpn, laptop: { ...vpn, tag: 'ABCD', interface: [] } }), [])
    assert.deepEqual(await warnings({ vpn }, { port: 22, allow: ['192.0.2.1'] }), [])
    assert.deepEqual(
      await warnings({
        people: people({ 'authorized-keys': '~root/.ssh/authorized_keys' }),
      }),
      [],
    )
  })
})
