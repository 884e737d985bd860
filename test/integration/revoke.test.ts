/** pkctl revoke: grants that run, by address and by credential, and the connections that they let in. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { pkctl, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4 } from '../support/lab.js'

describe('pkctl revoke', () => {
  let lab: Lab
  let daemon: Background
  let config: string

  before(async () => {
    lab = await Lab.create()
    for (const port of [22, 8080]) await lab.serve(port)
    config = lab.config(`services: { ssh: { port: 22 }, web: { port: 8080 } }
credentials:
  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh, web] }
  phone: { type: pkd, tag: PHON, key: other, opens: [ssh] }`)
    daemon = await lab.daemon(config)
  })
  after(() => lab.remove())
  afterEach(async () => {
    for (const source of [client4, client6, stranger4]) await revoke(source)
  })

  const revoke = (...args: string[]) => lab.mustPkctl('revoke', ...args, '--socket', lab.socket)
  const knock = (hex: string, from: string) =>
    lab.peer({ send: { host: server4, port: knockPort, from, hex } }, { connect: { host: server4, port: 22, from } })
  const laptop = () => knockHex({})
  const phone = () => knockHex({ tag: 'PHON', key: 'other' })
  const granted = async () =>
    (await lab.mustPkctl('list')).match(/granted: (?!none)\S+/g)?.map(line => line.slice(9)) ?? []

  it('takes back what an address has of all services, by knock and by hand, and of no other address', async () => {
    await knock(laptop(), client4)
    await knock(phone(), stranger4)
    await lab.mustPkctl('add', client4, '--service', 'ssh')
    await lab.mustPkctl('add', client6, '--service', 'web')
    assert.equal(await revoke(client4), `${client4} may no longer use ssh\n${client4} may no longer use web\n`)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(await lab.opens(server4, client4, 8080), 'timeout')
    assert.equal(await lab.opens(server4, stranger4), 'open')
    assert.equal(await lab.opens(server6, client6, 8080), 'open')
    assert.equal(await revoke(client4), `nothing to do: ${client4} has no grant that runs\n`)
    assert.equal(await revoke('10.77.0.0/16'), `${stranger4} may no longer use ssh\n`)
    assert.deepEqual(await granted(), [client6])
  })

  it('takes back what was granted by a credential, after a restart of the daemon, too', async () => {
    await knock(laptop(), client4)
    await knock(phone(), stranger4)
    await until(async () => (await granted()).length === 3)
    await daemon.stop()
    daemon = await lab.daemon(config)
    assert.equal(await revoke('laptop'), `${client4} may no longer use ssh\n${client4} may no longer use web\n`)
    await daemon.says(/may no longer use web: the grants of laptop are revoked, at the request of/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(await lab.opens(server4, stranger4), 'open')
    assert.equal(await revoke('laptop'), 'nothing to do: laptop has no grant that runs\n')
    const { status, stderr } = await lab.pkctl('revoke', 'lapto', '--socket', lab.socket)
    assert.equal(status, 1)
    assert.match(stderr, /error: there is no credential lapto\n/)
  })

  it('is named by a reload that disables a credential whose grants run', async () => {
    await knock(laptop(), client4)
    await until(async () => (await granted()).length === 2)
    const text = fs.readFileSync(config, 'utf8')
    fs.writeFileSync(config, text.replace('type: pkd, tag: SSHK', 'enabled: false, type: pkd, tag: SSHK'))
    const reloaded = await lab.pkctl('reload', '--socket', lab.socket)
    assert.match(
      reloaded.stderr,
      new RegExp(
        `warning: grants of laptop run on: ${client4} for ssh, ${client4} for web; pkctl revoke laptop ends them`,
      ),
    )
    assert.equal((await revoke('laptop')).split('\n').length, 3)
    assert.deepEqual(await granted(), [])
    fs.writeFileSync(config, text)
    assert.equal((await lab.pkctl('reload', '--socket', lab.socket)).stderr, '')
  })

  for (const [source, host, how] of [
    [client4, server4, client4],
    [client6, server6, 'fd77::/64'],
  ] as const)
    it(`ends the connections of ${how} with --connections alone`, async () => {
      await lab.mustPkctl('add', source, '--service', 'ssh')
      const family = source.includes(':') ? 'AF_INET6' : 'AF_INET'
      const script = `import socket
s = socket.socket(socket.${family})
s.bind(("${source}", 0)); s.connect(("${host}", 22))
s.recv(5, socket.MSG_WAITALL) # the greeting
print("connected", flush=True)
try: print("read", s.recv(1), flush=True)
except OSError as error: print("ended", error.errno, flush=True)`
      const connection = lab.start('client', ['python3', '-c', script])
      await connection.says(/connected/)
      await revoke(how)
      assert.equal(await lab.opens(host, source), 'timeout')
      assert.doesNotMatch(connection.output, /ended|read/)
      await lab.mustPkctl('add', source, '--service', 'ssh')
      // Its window may be over by the time that its connections are found.
      if (source === client4) await revoke(how)
      const said = source === client4 ? /has no grant that runs/ : /may no longer use ssh/
      const ended = await revoke(how, '--connections')
      assert.match(ended, said)
      assert.match(ended, /^(?!nothing to do)[^]*\n1 connection ended\n$/)
      await connection.says(/ended/)
    })

  it('leaves the ssh session in which it runs, unless it is forced', async () => {
    await lab.mustPkctl('add', client4, '--service', 'ssh')
    const script = `import socket
def connection():
    s = socket.socket(); s.bind(("${client4}", 0)); s.connect(("${server4}", 22)); s.recv(5, socket.MSG_WAITALL)
    return s
own, other = connection(), connection()
print("port", own.getsockname()[1], flush=True)
for s, name in (other, "other"), (own, "own"):
    try: print(name, "read", s.recv(1), flush=True)
    except OSError as error: print(name, "ended", flush=True)`
    const connections = lab.start('client', ['python3', '-c', script])
    const [, port] = /port (\d+)/.exec(await connections.says(/port \d+/)) ?? []
    const revokeHere = (...args: string[]) =>
      lab.on([process.execPath, pkctl, 'revoke', '10.77.0.0/16', '--connections', ...args, '--socket', lab.socket], {
        env: { SSH_CONNECTION: `${client4} ${port} ${server4} 22` },
      })
    const { stdout, stderr } = await revokeHere()
    assert.match(stdout, /^1 connection ended$/m)
    assert.match(
      stderr,
      /^pkctl: warning: your own ssh session from \S+ goes on\npkctl: hint: --force ends it as well\n$/,
    )
    await connections.says(/other ended/)
    assert.doesNotMatch(connections.output, /own/)
    assert.match((await revokeHere('--force')).stdout, /^1 connection ended$/m)
    await connections.says(/own ended/)
  })
})
