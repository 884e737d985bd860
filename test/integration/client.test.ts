/** `pkctl knock` against the daemon: where the key comes from, where the knock goes, and what --connect tells. */
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { RunOptions } from '../support/commands.js'
import { pkctl } from '../support/commands.js'
import { client4, client6, Lab, server4, server6 } from '../support/lab.js'

const key = 'a secret with spaces'

describe('pkctl knock', () => {
  let lab: Lab

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    const digits = 'digits: { type: pkd, tag: SSHK, key: "0123", opens: [ssh], rate: none }'
    const credentials = `${digits}\n  laptop: { type: pkd, tag: SSHK, key: "${key}", opens: [ssh], rate: none }`
    await lab.daemon(lab.config(`services: { ssh: { port: 22 } }\ncredentials:\n  ${credentials}`))
    lab.file('key', `${key}\n`)
    lab.file(
      'config/pkctl/hosts.yaml',
      `digits:\n  host: ${server4}\n  tag: 0x5353484b\n  key: 0123\n  connect: 22\nboth:\n  host: server.lab\n  tag: SSHK\n  key-file: ${lab.directory}/key\n  connect: 22\nbroken:\n  hots: x\n`,
    )
  })
  after(() => lab.remove())
  afterEach(async () => {
    for (const source of [client4, client6, '10.77.0.3', 'fd77::3']) {
      await lab.mustPkctl('delete', source, '--service', 'ssh')
    }
  })

  const knock = (args: readonly string[], options: RunOptions = {}) =>
    lab.from([process.execPath, pkctl, 'knock', ...args], {
      ...options,
      env: { XDG_CONFIG_HOME: `${lab.directory}/config`, ...options.env },
    })
  const tag = ['--tag', 'SSHK']

  it('takes the key from a file, the environment, or a pipe, and connects at once', async () => {
    for (const [args, options] of [
      [['--key-file', `${lab.directory}/key`], {}],
      [['--key-env', 'KNOCK'], { env: { KNOCK: key } }],
      [[], { input: `${key}\nnot this\n` }],
    ] as const) {
      for (const host of [server4, server6]) {
        const { status, stdout, stderr } = await knock([host, ...tag, ...args, '--connect', '22'], options)
        assert.equal(status, 0, stderr)
        assert.match(stdout, /port 22\/tcp is open, \d+\.\d ms after the knock/)
        for (const source of [client4, client6]) await lab.mustPkctl('delete', source, '--service', 'ssh')
      }
    }
  })

  it('asks for the key on a terminal, and does not show it', async () => {
    const command = `${process.execPath} ${pkctl} knock ${server4} --tag SSHK --connect 22`
    const shown = path.join(lab.directory, 'shown')
    // script(1) makes the terminal; what is typed there comes back on stdout if it is echoed.
    const typed = `
      shows() { for i in $(seq 300); do grep -qs "$1" ${shown} && return; sleep 0.1; done; }
      (shows 'key: '; printf '%s\\r' '${key}'; shows 'is open') | script -qefc '${command}' ${shown}`
    const { stdout } = await lab.from(['/bin/sh', '-c', typed])
    assert.match(stdout, /key: /)
    assert.match(stdout, /port 22\/tcp is open/)
    assert.doesNotMatch(stdout, /secret/)
  })

  it('says what it sends where', async () => {
    const { stdout } = await knock([server4, ...tag, '--port', '5353', '-v'], { input: key })
    assert.equal(stdout, `knocked at ${server4} port 5353/udp\n`)
  })

  it('is silent without -v and --connect, as a knock shall be', async () => {
    assert.deepEqual(await knock([server4, ...tag], { input: key }), { status: 0, stdout: '', stderr: '' })
  })

  it('knows places by name, and knocks over both versions of IP, or one', async () => {
    // A name with two addresses, for this one namespace: ip netns exec mounts /etc/netns/NAME/hosts over /etc/hosts.
    const named = [
      '/bin/sh',
      '-c',
      `mount --bind ${lab.file('hosts', `${server4} server.lab\n${server6} server.lab\n`)} /etc/hosts && exec "$@"`,
      'sh',
    ]
    const run = (...args: string[]) =>
      lab.from([...named, process.execPath, pkctl, 'knock', ...args], {
        env: { XDG_CONFIG_HOME: `${lab.directory}/config` },
      })
    const granted = async () => (await lab.mustPkctl('list', 'ssh')).match(/granted: \S+/g)
    const both = await run('both', '-v')
    assert.equal(both.status, 0, both.stderr)
    assert.match(both.stdout, /knocked at fd77::1 .*\nknocked at 10\.77\.0\.1 .*\n.*is open/)
    assert.equal((await granted())?.length, 2)
    assert.match((await run('both', '-4', '-v')).stdout, /^knocked at 10\.77\.0\.1 port \d+\/udp\n.* is open/)
    assert.match((await run('both', '-6', '-v')).stdout, /^knocked at fd77::1 port \d+\/udp\n.* is open/)
  })

  it('takes tags and keys in hosts.yaml as they are written, also where they are digits', async () => {
    const { status, stderr } = await knock(['digits'])
    assert.equal(status, 0, stderr)
  })

  it('tells that a port is not open, and why that may be', async () => {
    const { status, stderr } = await knock([server4, ...tag, '--connect', '22', '--timeout', '1s'], { input: 'wrong' })
    assert.equal(status, 1)
    assert.match(stderr, /error: port 22\/tcp is not open after \d+\.\d ms: no answer from 10\.77\.0\.1/)
    assert.match(stderr, /hint: .*clock/)
  })

  const mistakes: readonly [string, string[], RunOptions, number, RegExp][] = [
    ['a key that is too long', [server4, ...tag], { input: 'x'.repeat(41) }, 2, /the key is 41 bytes long, at most 40/],
    ['no key', [server4, ...tag], { input: '' }, 2, /the key is empty/],
    ['a tag that is too long', [server4, '--tag', 'TOOLONG'], { input: key }, 2, /the tag is 7 bytes long, at most 4/],
    ['a key of bad hex', [server4, ...tag], { input: '0xzz' }, 2, /not hex/],
    ['a missing key file', [server4, '--key-file', '/nowhere'], {}, 1, /\/nowhere cannot be read/],
    ['an unset variable', [server4, '--key-env', 'NO_SUCH'], {}, 2, /no variable NO_SUCH/],
    ['both families', [server4, '-4', '-6'], { input: key }, 2, /exclude each other/],
    ['the wrong family', [server4, '-6'], { input: key }, 2, /is an IPv4 address/],
    ['a port out of range', [server4, '--port', '70000'], { input: key }, 2, /expected a port/],
    ['a broken place', ['broken'], { input: key }, 1, /hosts\.yaml: broken/],
    ['no route', ['192.0.2.1', ...tag], { input: key }, 1, /no knock could be sent to 192\.0\.2\.1/],
  ]
  for (const [name, args, options, want, error] of mistakes) {
    it(`one clear line for ${name}`, async () => {
      const { status, stdout, stderr } = await knock(args, options)
      assert.equal(status, want, stderr)
      assert.match(stderr, /^pkctl: error: /)
      assert.match(stderr, error)
      assert.ok(stderr.trimEnd().split('\n').length <= 2, stderr)
      assert.equal(stdout, '')
    })
  }
})
