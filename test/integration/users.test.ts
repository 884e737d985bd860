/** pkctl user, and the way from pkctl invite to the open port. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Background, Result } from '../support/commands.js'
import { must, pkctl, run } from '../support/commands.js'
import { client4, Lab, server4, server6, stranger4 } from '../support/lab.js'

const withoutReader =
  spawnSync('zbarimg', ['--version']).error !== undefined && 'there is no zbarimg: install zbar-tools'

/** Each module of a QR code has four pixels on a side. */
const scale = 4

/** What a terminal shows, as a grey picture (PGM): two modules above each other in each character. */
function picture(lines: readonly string[]): Buffer {
  const halves = [
    ['█', '▀'],
    ['█', '▄'],
  ] as const
  const rows = lines.flatMap(line =>
    halves.map(light => Array.from(line, each => (light.includes(each as '█') ? 255 : 0))),
  )
  const wide = rows.map(row => row.flatMap(pixel => Array<number>(scale).fill(pixel)))
  const pixels = wide.flatMap(row => Array<number[]>(scale).fill(row)).flat()
  return Buffer.concat([Buffer.from(`P5\n${wide[0]?.length} ${wide.length * scale}\n255\n`), Buffer.from(pixels)])
}

describe('pkctl user', () => {
  let lab: Lab
  let config: string
  const own = () => path.join(lab.directory, 'authorized_keys')
  const read = (name: string) => fs.readFileSync(path.join(lab.directory, name), 'utf8')
  const user = (...args: string[]): Promise<Result> => lab.pkctl('user', ...args, '--config', config)
  async function said(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await user(...args)
    assert.equal(status, 0, stderr)
    return stdout
  }
  async function refused(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await user(...args)
    assert.deepEqual([status, stdout], [1, ''], stderr)
    assert.equal(stderr.match(/^pkctl: error: /gm)?.length, 1)
    return stderr
  }

  before(async () => {
    lab = await Lab.create()
    config = lab.config(
      'credentials:\n  people: { type: ssh, authorized-keys: authorized_keys, revoked-keys: [krl, revoked], opens: [ssh, vpn] }\n',
    )
    for (const name of ['alice', 'bob'])
      await must([
        'ssh-keygen',
        '-q',
        '-t',
        'ed25519',
        '-N',
        '',
        '-C',
        `${name}@host`,
        '-f',
        path.join(lab.directory, name),
      ])
    await must(['ssh-keygen', '-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', path.join(lab.directory, 'old')])
    await must(['ssh-keygen', '-q', '-k', '-f', path.join(lab.directory, 'krl')])
  })
  after(() => lab.remove())

  const pub = (name: string) => path.join(lab.directory, `${name}.pub`)

  it('adds a user to a new file that the daemon can read, and a second time changes nothing', async () => {
    const [type, blob] = read('alice.pub').split(' ')
    const fingerprint = (await must(['ssh-keygen', '-l', '-f', pub('alice')])).split(' ')[1] ?? ''
    const added = await said('add', 'alice', '--key', pub('alice'))
    assert.equal(added, `alice may knock for people with ${fingerprint}; the key is in ${own()}\n`)
    assert.equal(read('authorized_keys'), `${type} ${blob} alice\n`)
    assert.equal(fs.statSync(own()).mode & 0o777, 0o644)
    const before = fs.statSync(own())
    assert.match(
      await said('add', 'alice', '--key', read('alice.pub').trim()),
      /^nothing to do: alice may knock for people/,
    )
    assert.equal(
      (JSON.parse(await said('add', 'alice', '--key', pub('alice'), '--json')) as { changed: boolean }).changed,
      false,
    )
    assert.deepEqual([fs.statSync(own()).ino, fs.statSync(own()).mtimeMs], [before.ino, before.mtimeMs])
  })

  it('keeps the owner, the mode and the lines of others, and writes options that sshd knows', async () => {
    fs.appendFileSync(own(), '# kept\nbroken\n')
    fs.chownSync(own(), 65_534, 65_534)
    fs.chmodSync(own(), 0o640)
    const before = read('authorized_keys')
    const options = ['--opens', 'ssh', '--window', '8h', '--expires', '2037-01-31']
    await said('add', 'bob', '--key', pub('bob'), ...options)
    const [type, blob] = read('bob.pub').split(' ')
    const written = `opens="ssh",window="28800s",expiry-time="20370130235959Z" ${type} ${blob} bob\n`
    assert.equal(read('authorized_keys'), before + written)
    const { uid, gid, mode } = fs.statSync(own())
    assert.deepEqual([uid, gid, mode & 0o777], [65_534, 65_534, 0o640])
    assert.match(await said('add', 'bob', '--key', pub('bob'), ...options), /^nothing to do/)
    assert.deepEqual(
      fs.readdirSync(lab.directory).filter(name => name.endsWith('.new')),
      [],
    )
  })

  it('lists, shows and exports', async () => {
    const { stdout, stderr } = await user('list')
    assert.match(
      stdout,
      /^alice {2}SHA256:\S{43} {2}for people\nbob .*opens ssh {2}8 h at most {2}until 2037-01-31T00:00:00Z\n$/,
    )
    assert.match(stderr, /^pkctl: warning: \S+authorized_keys:3: there is no key on the line\n$/)
    assert.match(await said('show', 'bob'), /^bob /)
    const { users } = JSON.parse(await said('show', 'bob', '--json')) as { users: Record<string, unknown>[] }
    assert.deepEqual(
      [users.length, users[0]?.['opens'], users[0]?.['line'], users[0]?.['window']],
      [1, ['ssh'], 4, 28_800],
    )
    assert.equal(await said('export', 'alice'), read('alice.pub').replace('alice@host', 'alice'))
    assert.match(await refused('show', 'carol'), /there is no user 'carol'/)
    assert.match(await refused('export', 'carol'), /there is no user 'carol'/)
  })

  it('refuses what is no key for a knock, what the credential does not open, and a link, and changes nothing', async () => {
    const before = read('authorized_keys')
    assert.match(await refused('add', 'carol', '--key', pub('old')), /an RSA key does not fit into a knock/)
    assert.match(await refused('add', 'carol', '--key', pub('old').slice(0, -4)), /is a private key/)
    assert.match(await refused('add', 'carol', '--key', 'nowhere.pub'), /nowhere\.pub cannot be read/)
    assert.match(await refused('add', 'carol', '--key', pub('alice')), /the key is that of 'alice' already/)
    assert.match(await refused('add', 'alice', '--key', pub('bob')), /alice has another key already/)
    assert.match(await refused('add', 'bob', '--key', pub('bob')), /bob has this key already, with other options/)
    await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', path.join(lab.directory, 'carol')])
    assert.match(await refused('add', 'carol', '--key', pub('carol'), '--opens', 'web'), /people does not open web/)
    assert.match(
      await refused('add', 'carol', '--key', pub('carol'), '--credential', 'x'),
      /no credential 'x' of type ssh/,
    )
    assert.equal((await user('add', 'a b', '--key', pub('carol'))).status, 2)
    fs.renameSync(own(), `${own()}.real`)
    fs.symlinkSync(`${own()}.real`, own())
    assert.match(await refused('add', 'carol', '--key', pub('carol')), /authorized_keys is a symbolic link/)
    fs.renameSync(`${own()}.real`, own())
    assert.equal(read('authorized_keys'), before)
  })

  it('revokes: the line is gone, and the key is in the list that is text, not in a KRL', async () => {
    const krl = fs.readFileSync(path.join(lab.directory, 'krl'))
    const { status, stdout, stderr } = await user('revoke', 'alice')
    assert.equal(status, 0)
    assert.match(
      stdout,
      /^alice may no longer knock for people with SHA256:\S+\nthe key is in the list of revoked keys \S+revoked\n$/,
    )
    assert.match(
      stderr,
      /^pkctl: warning: grants of alice that run stay until their windows end: pkctld is not running/,
    )
    assert.doesNotMatch(read('authorized_keys'), /alice/)
    assert.match(read('authorized_keys'), /# kept\nbroken\n/)
    assert.equal(read('revoked'), read('alice.pub').replace('alice@host', 'alice'))
    assert.deepEqual(fs.readFileSync(path.join(lab.directory, 'krl')), krl)
    const again = await user('revoke', 'alice')
    assert.deepEqual([again.status, again.stdout], [0, "nothing to do: there is no user 'alice'\n"])
  })

  it('revokes a key in a home directory by the list of revoked keys, or says that it still counts', async () => {
    const home = path.join(lab.directory, 'home of carol')
    fs.mkdirSync(path.join(home, '.ssh'), { recursive: true })
    const keys = path.join(home, '.ssh/authorized_keys')
    const line = read('bob.pub').replace('bob@host', 'laptop')
    fs.writeFileSync(keys, line)
    const passwords = lab.file('passwd', `carol:x:4242:4242::${home}:/bin/sh\n`, 0o644)
    const configOf = (lists: string) =>
      lab.file(
        'homes.yaml',
        `credentials: { people: { type: ssh, authorized-keys: ~carol/.ssh/authorized_keys, revoked-keys: ${lists}, opens: [] } }\n`,
      )
    const revoke = (lists: string, name = 'carol') =>
      run([
        ...['unshare', '-m', '/bin/sh', '-c', `mount --bind ${passwords} /etc/passwd && exec "$@"`, 'sh'],
        ...[process.execPath, pkctl, 'user', 'revoke', name, '--config', configOf(lists), '--socket', lab.socket],
      ])
    for (const lists of ['[]', '[krl]']) {
      const { status, stdout, stderr } = await revoke(lists)
      assert.deepEqual([status, stdout], [1, ''], stderr)
      assert.match(stderr, /^pkctl: error: carol may still knock for people: the key is in ~carol\/\.ssh/m)
      assert.match(stderr, /^pkctl: hint: give the credential 'revoked-keys'/m)
    }
    const before = read('revoked')
    const { status, stdout, stderr } = await revoke('[krl, revoked]')
    assert.equal(status, 0, stderr)
    assert.match(stdout, /^carol may no longer knock for people with SHA256:\S+\nthe key is in the list .*revoked\n$/)
    assert.equal(read('revoked'), before + line)
    assert.equal((await revoke('[krl, revoked]', 'laptop')).status, 0)
    assert.equal(read('revoked'), before + line, 'once')
    assert.equal(fs.readFileSync(keys, 'utf8'), line, 'the file of its owner stays as it is')
    assert.match((await revoke('[]', 'dora')).stdout, /^nothing to do: there is no user 'dora'/)
  })

  it('says what is missing where no credential is of type ssh', async () => {
    const none = lab.file('none.yaml', 'services: { ssh: { port: 22 } }\n')
    const { status, stderr } = await lab.pkctl('user', 'list', '--config', none)
    assert.equal(status, 1)
    assert.match(stderr, /none\.yaml has no credential of type ssh\npkctl: hint: for instance credentials: /)
  })
})

describe('pkctl invite and join', () => {
  let lab: Lab
  let daemon: Background
  let config: string
  let home: string
  const key = `0x${'5a'.repeat(32)}`
  const hosts = () => path.join(home, 'pkctl/hosts.yaml')

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    const state = path.join(lab.directory, 'state')
    await lab.mustPkctl('keygen', '--server', '--state-directory', state)
    config = lab.config(
      'services: { ssh: { port: 22, window: 30 }, vpn: { port: 1194, protocol: udp } }\ncredentials:\n' +
        `  phone: { type: symmetric, key: "${key}", opens: [ssh, vpn], rate: none }\n` +
        `  fixed: { type: symmetric, key: "0x${'77'.repeat(32)}", opens: [vpn], port: 4000, enabled: false }\n` +
        '  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }\n',
    )
    daemon = await lab.daemon(config)
    home = path.join(lab.directory, 'client')
  })
  after(() => lab.remove())

  const invite = (...args: string[]) => lab.pkctl('invite', ...args, '--config', config)
  const join = (...args: string[]) =>
    lab.from([process.execPath, pkctl, 'join', ...args], { env: { XDG_CONFIG_HOME: home }, input: '' })

  it('the line of one is the host entry of the other, and its knock opens the port', async () => {
    const { status, stdout: line, stderr } = await invite('phone', '--host', server4)
    assert.equal(status, 0, stderr)
    assert.match(line, /^pkctl:\/\/10\.77\.0\.1\?id=pk1:[\w-]{43}&services=ssh:22,vpn:1194\/udp&key=[\w-]{43}\n$/)
    assert.match(stderr, /^pkctl: warning: the line has the secret key of the credential/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    const joined = await join(line.trim(), '--name', 'home')
    assert.equal(joined.status, 0, joined.stderr)
    assert.match(
      joined.stdout,
      /^new host entry home in \S+hosts\.yaml\nknocked at 10\.77\.0\.1 port \d+\/udp\n10\.77\.0\.1 port 22\/tcp is open.*\nfrom now on: pkctl knock home\n$/,
    )
    await daemon.says(/knock by phone from 10\.77\.0\.2 opens ssh for 30 s/)
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    assert.equal(fs.statSync(hosts()).mode & 0o777, 0o600)
    assert.match(
      (await join(line.trim(), '--name', 'home')).stdout,
      /^nothing to do: there is the same host entry home/,
    )
  })

  it('says that the port is not open where the key is another, and keeps the entry', async () => {
    const line = (await invite('phone', '--host', server4)).stdout.trim()
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    const other = line.replace(/key=.*/, `key=${Buffer.alloc(32, 1).toString('base64url')}`)
    const { status, stdout, stderr } = await join(other, '--name', 'wrong')
    assert.equal(status, 1, stdout)
    assert.match(stderr, /^pkctl: error: port 22\/tcp is not open after/)
    assert.match(fs.readFileSync(hosts(), 'utf8'), /^wrong:$/m)
    const before = fs.readFileSync(hosts())
    const again = await join(line, '--name', 'wrong')
    assert.equal(again.status, 1)
    assert.match(again.stderr, /^pkctl: error: \S+hosts\.yaml has another host entry 'wrong' already\npkctl: hint: /)
    assert.deepEqual(fs.readFileSync(hosts()), before)
  })

  it('names the port of the knock, an address of IPv6, and what is not enabled', async () => {
    const { stdout, stderr } = await invite('fixed', '--host', server6)
    assert.match(stdout, /^pkctl:\/\/\[fd77::1\]:4000\?id=pk1:[\w-]{43}&services=vpn:1194\/udp&key=[\w-]{43}\n$/)
    assert.match(stderr, /credential fixed is not enabled/)
    const joined = await join(stdout.trim(), '--no-knock')
    assert.deepEqual([joined.status, joined.stdout], [0, `new host entry fd77::1 in ${hosts()}\n`], joined.stderr)
  })

  it("makes the server's identity where there is none, once, and prints it in the line", async () => {
    const state = path.join(lab.directory, 'other-state')
    const other = lab.file(
      'other.yaml',
      `state-directory: ${state}\nservices: { ssh: { port: 22 } }\n` +
        `credentials: { phone: { type: symmetric, key: "${key}", opens: [ssh] } }\n`,
    )
    const again = () => lab.pkctl('invite', 'phone', '--host', 'h', '--config', other)
    const [first, second] = [await again(), await again()]
    assert.equal(first.status, 0, first.stderr)
    assert.match(first.stderr, /^pkctl: hint: this server has an identity now/)
    assert.doesNotMatch(second.stderr, /identity/)
    assert.equal(second.stdout, first.stdout)
    const identity = (await lab.mustPkctl('keygen', '--server', '--state-directory', state)).trim()
    assert.ok(first.stdout.includes(`?id=${identity}&`))
    assert.equal(fs.statSync(path.join(state, 'server-key')).mode & 0o777, 0o600)
  })

  it('draws the line as a QR code, too', async () => {
    const { stdout } = await invite('phone', '--host', server4, '--qr')
    const lines = stdout.trimEnd().split('\n')
    assert.equal(lines.pop(), (await invite('phone', '--host', server4)).stdout.trim())
    assert.ok(lines.length > 15)
    for (const line of lines) assert.match(line, /^[█▀▄ ]+$/)
  })

  it(
    'which a reader of QR codes reads as the line, also for the longest host name',
    { skip: withoutReader },
    async () => {
      for (const host of [server4, `${'a'.repeat(63)}.${'b'.repeat(63)}.example`]) {
        const lines = (await invite('phone', '--host', host, '--qr')).stdout.trimEnd().split('\n')
        const line = lines.pop()
        const file = lab.file('code.pgm', '')
        fs.writeFileSync(file, picture(lines))
        assert.equal((await must(['zbarimg', '--quiet', '--raw', file])).trimEnd(), line)
      }
    },
  )

  const wrong: readonly [string, readonly string[], 1 | 2, RegExp][] = [
    ['an unknown name', ['nobody', '--host', 'h'], 1, /there is no user or credential 'nobody'/],
    [
      'a credential of another type',
      ['laptop', '--host', 'h'],
      1,
      /laptop is of type pkd; invitations are for ssh and/,
    ],
    ['a host that is none', ['phone', '--host', '-x y'], 2, /'-x y' is neither a name nor an address/],
  ]
  for (const [name, args, status, message] of wrong) {
    it(`there is one error for ${name}`, async () => {
      const result = await invite(...args)
      assert.deepEqual([result.status, result.stdout], [status, ''], result.stderr)
      assert.match(result.stderr, message)
    })
  }

  it('there is one error for a line that is none, and no file is made', async () => {
    const empty = path.join(lab.directory, 'empty')
    for (const line of ['', 'https://server.example', 'pkctl://server.example', 'pkctl://h?id=pk1:x&services=']) {
      const result = await lab.from([process.execPath, pkctl, 'join', line], { env: { XDG_CONFIG_HOME: empty } })
      assert.equal(result.status, 1)
      assert.match(result.stderr, /^pkctl: error: [^\n]*invitation[^\n]*\n(pkctl: hint: .*\n)?$/)
    }
    assert.ok(!fs.existsSync(empty))
  })
})
