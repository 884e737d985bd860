/** What a newcomer does wrong: one clear line, perhaps a hint, the right exit status, and nothing changed. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Result } from '../support/commands.js'
import { pkctl } from '../support/commands.js'
import { Lab } from '../support/lab.js'

const credential =
  'services: { ssh: { port: 22 } }\ncredentials:\n  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }'

describe('mistakes', () => {
  let lab: Lab

  before(async () => {
    lab = await Lab.create()
    await lab.mustPkctl('init', 'web', '--port', '443', '--syn')
  })
  after(() => lab.remove())

  const ruleset = async () => (await lab.on(['nft', '-s', 'list', 'ruleset'])).stdout

  /** The first line is the error, a second may be the hint; nothing else is said, and nothing is changed. */
  async function fails(how: () => Promise<Result>, status: number, error: RegExp, hint?: RegExp): Promise<void> {
    const before = await ruleset()
    const result = await how()
    const [first, second, ...rest] = result.stderr.trimEnd().split('\n')
    assert.equal(result.status, status, result.stderr)
    assert.match(first ?? '', /^pkctl: error: [^A-Z]/)
    assert.match(first ?? '', error)
    if (hint) assert.match(second ?? '', hint)
    if (second !== undefined) assert.match(second, /^pkctl: (hint|error): /)
    assert.equal(rest.filter(line => !/^pkctl: (hint|error): /.test(line)).join('\n'), '')
    assert.equal(result.stdout, '')
    assert.doesNotMatch(result.stderr, /^\s+at /m)
    assert.equal(await ruleset(), before)
  }

  const usage: readonly [string[], RegExp, RegExp?][] = [
    [['init', 'ssh', '--port', '0'], /expected a port from 1 to 65535, got '0'/],
    [['init', 'ssh', '--port', '65536'], /expected a port/],
    [['init', 'ssh', '--port', '10-5'], /lower port first/],
    [['init', 'ssh', '--port', 'ssh'], /expected a port/],
    [['init', 'ssh'], /--port is missing/],
    [['init', '--port', '22'], /missing required argument 'name'/],
    [['init', 'my ssh', '--port', '22'], /'my ssh' cannot be the name of a service/, /letters, digits/],
    [['init', '../ssh', '--port', '22'], /cannot be the name/],
    [['init', 'x'.repeat(41), '--port', '22'], /cannot be the name/],
    [['init', 'ssh', '--port', '22', '--syn', '--udp'], /cannot be used with/],
    [['init', 'ssh', '--port', '22', '--syn', '--protocol', 'sctp'], /--syn is for TCP/],
    [['init', 'ssh', '--port', '22', '--accept', '--reject', 'drop'], /cannot be used with/],
    [['init', 'ssh', '--port', '22', '--reject', 'maybe'], /allowed choices are/i],
    [['init', 'ssh', '--port', '22', '--udp', '--reject', 'reset'], /only TCP can be reset/, /icmp/],
    [['knock', '192.0.2.1', '7000', '--timeout', '30d'], /--timeout takes a time from 1s to 1d, not '30d'/],
    [['connect', '192.0.2.1', '22', '--timeout', '0'], /--timeout takes a time from 1s to 1d, not '0'/],
    [['init', 'ssh', '--port', '22', '--window', '0'], /from 1s to 365d/],
    [['init', 'ssh', '--port', '22', '--window', 'soon'], /seconds, or a duration/],
    [['init', 'ssh', '--port', '22', '--allow', '192.0.2.1/24'], /bits set after the first 24/, /192\.0\.2\.0\/24/],
    [['init', 'ssh', '--port', '22', '--prefix4', '33'], /--prefix4 takes a number from 8 to 32/],
    [['init', 'ssh', '--port', '22', '--log-prefix', 'x'], /--log is missing/],
    [['init', 'ssh', '--port', '22', '--log', '--log-limit', '5/fortnight'], /a rate such as/],
    [['add', '192.0.2.300', '--service', 'web'], /expected an IPv4 or IPv6 address/],
    [['add', '192.0.2.1/24', '--service', 'web'], /bits set after the first 24/, /192\.0\.2\.0\/24/],
    [['add', '192.0.2.1', '--service', 'web', '--for', '-5'], /.+/],
    [['inti', 'ssh'], /unknown command 'inti'/, /did you mean init/],
    [['revoke', 'a b'], /'a b' is neither an address nor the name of a credential/],
    [['deny', '192.0.2.1'], /unknown command 'deny'/, /did you mean delete\?/],
    [['grant', '192.0.2.1'], /unknown command 'grant'/, /did you mean add\?/],
    [['add', '0.0.0.0', '--service', 'web'], /'0\.0\.0\.0' is the unspecified address/, /--allow/],
    [['add', '::', '--service', 'web'], /'::' is the unspecified address/, /--allow/],
    [['add', 'ff02::1', '--service', 'web'], /'ff02::1' is a multicast address/, /one host/],
    [['add', '255.255.255.255', '--service', 'web'], /is the broadcast address/, /one host/],
    [['knock', '192.0.2.1', '--key=hidden'], /unknown option '--key'$/],
    [['init', '--port', '22', 'my ssh'], /'my ssh' cannot be the name/],
    [['init', 'ssh', '--prot', '22'], /unknown option '--prot'/, /did you mean --port/],
    [['remove'], /missing required argument/],
    [['remove', 'a', 'b'], /too many arguments/],
  ]
  for (const [argv, error, hint] of usage) {
    it(`wrong usage: ${argv.join(' ').slice(0, 60)}`, () => fails(() => lab.pkctl(...argv), 2, error, hint))
  }

  const failures: readonly [string[], RegExp, RegExp?][] = [
    [['add', '192.0.2.1', '--service', 'ssh'], /there is no service ssh/, /pkctl init ssh/],
    [['delete', '192.0.2.1', '--service', 'ssh'], /there is no service ssh/],
    [['add', 'no.such.host.invalid', '--service', 'web'], /the host name 'no\.such\.host\.invalid' has no address/],
    [['add', '192.0.2.0/24', '--service', 'web'], /web grants only single IPv4 addresses/, /prefix4/],
    [['list', 'ssh'], /there is no service ssh/, /pkctl init ssh/],
    [['list', 'wbe'], /there is no service wbe/, /did you mean 'web'\?/],
    [['add', '192.0.2.1', '--service', 'wbe'], /there is no service wbe/, /did you mean 'web'\?/],
    [['delete', '192.0.2.1', '--service', 'Web'], /there is no service Web/, /did you mean 'web'\?/],
    [['init', 'other', '--port', '443'], /port 443 is protected by service web already/, /pkctl list web/],
    [['init', 'other', '--port', '400-500', '--protocol', 'any'], /protected by service web already/],
    [['status'], /pkctld is not running/, /systemctl start pkctld/],
    [['reload'], /pkctld is not running/],
    [['check', '--config', '/nowhere/pkctl.yaml'], /\/nowhere\/pkctl\.yaml/],
    [['daemon', '--config', '/nowhere/pkctl.yaml'], /\/nowhere\/pkctl\.yaml/],
    [['knock', 'no.such.host.invalid', '--key-env', 'PATH'], /not known/],
  ]
  for (const [argv, error, hint] of failures) {
    it(`failure: ${argv.join(' ')}`, () => fails(() => lab.pkctl(...argv), 1, error, hint))
  }

  it('removing a service that is not there does nothing, and names the one that was meant', async () => {
    const { status, stdout, stderr } = await lab.pkctl('remove', 'wbe')
    assert.deepEqual(
      [status, stdout, stderr],
      [...[0, 'nothing to do: there is no service wbe\n', "pkctl: hint: did you mean 'web'?\n"]],
    )
  })

  it('pkctl alone shows the status, and so says that there is no daemon', async () => {
    const { status, stderr } = await lab.on([process.execPath, pkctl])
    assert.equal(status, 1)
    assert.match(stderr, /pkctld is not running/)
  })

  it('garbage in the configuration: file, line, column, what was expected, and the near miss', async () => {
    const file = lab.file('broken.yaml', 'services:\n  ssh:\n    port: 22\n    widnow: 5\n    reject: maybe\n')
    for (const command of ['check', 'daemon']) {
      const { status, stderr } = await lab.pkctl(command, '--config', file)
      assert.equal(status, 1)
      assert.match(stderr, /error: .*broken\.yaml:4:5: .*unknown key 'widnow'\npkctl: hint: did you mean 'window'/)
      assert.match(stderr, /broken\.yaml:5:\d+: services\.ssh\.reject: expected/)
    }
    for (const text of ['{', '\u0000\u0001', 'a: b: c', '- 1\n- 2', '&a [*a, *a]']) {
      await fails(() => lab.pkctl('check', '--config', lab.file('garbage.yaml', text)), 1, /garbage\.yaml:\d+:\d+: /)
    }
  })

  it('a key that others can read is refused', async () => {
    lab.file('open.key', 'secret', 0o644)
    const config = lab.config(credential.replace('key: test', 'key-file: open.key'))
    await fails(() => lab.pkctl('daemon', '--config', config), 1, /open\.key|key-file/)
    assert.equal((await lab.pkctl('check', '--config', config)).status, 1)
  })

  it('no rights', async () => {
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    const without =
      (...args: string[]) =>
      () =>
        lab.on([...nobody, process.execPath, pkctl, ...args])
    const shared = fs.mkdtempSync('/tmp/pkctl-nobody-')
    try {
      fs.chmodSync(shared, 0o755)
      const config = path.join(shared, 'pkctl.yaml')
      const own = `state-directory: ${shared}\nsocket: { path: ${shared}/sock }\nservices: { ssh: { port: 22, allow: [192.0.2.1] } }\n`
      fs.writeFileSync(config, own)
      fs.chownSync(shared, 65_534, 65_534)
      for (const args of [
        ['init', 'ssh', '--port', '22'],
        ['remove', 'web'],
        ['add', '192.0.2.1', '--service', 'web'],
        ['daemon', '--config', config],
      ]) {
        await fails(
          without(...args),
          1,
          /not permitted|no right|may not read or change the ruleset/i,
          /run as root, or with the capability CAP_NET_ADMIN/,
        )
      }
    } finally {
      fs.rmSync(shared, { recursive: true })
    }
  })

  it('no nft', async () => {
    const bare = lab.file('bin/empty', '')
    // ip itself is found before the PATH is narrowed by env(1) inside.
    const inside =
      (...args: string[]) =>
      () =>
        lab.on(['/usr/bin/env', `PATH=${path.dirname(bare)}`, process.execPath, pkctl, ...args])
    await fails(inside('list'), 1, /there is no nft program/, /install the packages nftables/)
    await fails(inside('init', 'ssh', '--port', '22'), 1, /there is no nft program|flock/)
  })

  it('no libnetfilter_queue', async () => {
    const library = (
      await lab.on(['/bin/sh', '-c', 'ldconfig -p | sed -n "s/.*libnetfilter_queue.so.1 .*=> //p" | head -1'])
    ).stdout
    const hidden = `mount --bind ${lab.file('empty', '')} "$(readlink -f ${library.trim()})" && exec "$@"`
    const daemon = [process.execPath, pkctl, 'daemon', '--config', lab.config(credential)]
    const how = () => lab.on(['unshare', '-m', '/bin/sh', '-c', hidden, 'sh', ...daemon])
    await fails(how, 1, /libnetfilter_queue\.so\.1 cannot be loaded/, /install the package libnetfilter-queue1/)
  })

  it('the daemon twice, and a queue that is taken', async () => {
    // The sources of packets that the daemon sends to itself would come into the table between two listings.
    const config = lab.config(credential, 'self-test: off')
    const first = await lab.daemon(config)
    await fails(() => lab.pkctl('daemon', '--config', config), 1, /pkctld is running already/, /pkctl status/)
    const other = lab.file(
      'other.yaml',
      `state-directory: ${lab.directory}/other\nsocket: { path: ${lab.directory}/other.sock }\n${credential}\n`,
    )
    await fails(() => lab.pkctl('daemon', '--config', other), 1, /queue 62 is taken by process \d+/, /another number/)
    assert.equal(await first.stop(), 0)
  })

  it('an unknown group, and a path that is no socket', async () => {
    const file = lab.file('precious', 'data')
    const own = (socket: string) => lab.file('odd.yaml', `state-directory: ${lab.directory}/odd\nsocket: ${socket}\n`)
    const start = (socket: string) => () => lab.pkctl('daemon', '--config', own(socket))
    await fails(start(`{ path: ${lab.directory}/odd.sock, group: nosuchgroup }`), 1, /no group nosuchgroup/, /groupadd/)
    await fails(start(`{ path: ${file} }`), 1, /precious is not a socket, and pkctld does not replace it/)
    assert.equal(fs.readFileSync(file, 'utf8'), 'data')
  })

  it('a socket that a crash left behind does not keep the daemon from starting', async () => {
    const config = lab.config(credential)
    const first = await lab.daemon(config)
    await first.stop('SIGKILL')
    const second = await lab.daemon(config)
    assert.equal((await lab.pkctl('status')).status, 0)
    assert.equal(await second.stop(), 0)
  })

  it('a socket that is removed while the daemon runs is made again', async () => {
    const daemon = await lab.daemon(lab.config(credential))
    assert.equal((await lab.on(['rm', lab.socket])).status, 0)
    assert.notEqual((await lab.pkctl('status')).status, 0)
    await daemon.says(/another program has removed the socket \S+; pkctld has made it again/)
    assert.equal((await lab.pkctl('status')).status, 0)
    assert.equal(await daemon.stop(), 0)
  })
})
