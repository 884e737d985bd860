/** What others than root may do: real processes of a user without rights, in a group or in none. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as net from 'node:net'
import { after, before, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { must, pkctl } from '../support/commands.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']

describe('the socket of a group', () => {
  let lab: Lab
  let daemon: Background
  let member: string[]

  const configure = (may: string) => {
    const services = 'services: { ssh: { port: 22 } }\ncredentials:\n  laptop: { type: pkd, key: test, opens: [ssh] }'
    const file = lab.config(services)
    const socket = may === '' ? 'socket: {' : `socket: { group: adm, group-may: ${may},`
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('socket: {', socket))
    return file
  }
  const restart = async (may: string) => {
    await daemon.stop()
    daemon = await lab.daemon(configure(may))
  }

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    fs.chmodSync(lab.directory, 0o711)
    const gid = (await must(['getent', 'group', 'adm'])).split(':')[2]
    member = ['setpriv', '--reuid=65534', '--regid=65534', '--groups', String(gid)]
    daemon = await lab.daemon(configure('[status, list, add, delete]'))
  })
  after(() => lab.remove())

  /** pkctl as a user, whose PATH has no sbin if the user has none. */
  const as = (user: string[], ...args: string[]) =>
    lab.on([...user, process.execPath, pkctl, ...args, '--socket', lab.socket], { env: { PATH: '/usr/bin:/bin' } })
  const mode = (file: string) => (fs.statSync(file).mode & 0o777).toString(8)

  it("is beside root's own, which stays root's", async () => {
    assert.equal(mode(lab.socket), '600')
    assert.equal(mode(`${lab.socket}.group`), '660')
    const { status, stderr } = await as(nobody, 'status')
    assert.equal(status, 1)
    assert.match(stderr, /you may not use the socket of pkctld/)
  })

  it('members see and change grants without rights of their own, and the log says that they asked', async () => {
    for (const path of ['/usr/bin:/bin', '/usr/sbin:/usr/bin:/bin']) {
      const pk = async (...args: string[]) => {
        const words = [...member, process.execPath, pkctl, ...args, '--socket', lab.socket]
        const { status, stdout, stderr } = await lab.on(words, { env: { PATH: path } })
        assert.deepEqual([status, stderr], [0, ''], stdout)
        return stdout
      }
      assert.match(await pk('status'), /services: ssh \(0 granted\)/)
      assert.equal(await pk('add', client4, '--service', 'ssh', '--for', '1h'), `${client4} may use ssh for 60 min\n`)
      assert.equal(await lab.opens(server4, client4), 'open')
      assert.equal(await lab.opens(server4, stranger4), 'timeout')
      assert.match(await pk('list'), new RegExp(`granted: ${client4} {2}\\d+ min( \\d+ s)? left {2}by hand`))
      const { services } = JSON.parse(await pk('list', 'ssh', '--json')) as { services: { name: string }[] }
      assert.deepEqual(
        services.map(({ name }) => name),
        ['ssh'],
      )
      assert.match(await pk('delete', client4, '--service', 'ssh'), /may no longer use ssh/)
      assert.match(await pk('delete', client4, '--service', 'ssh'), /^nothing to do/)
    }
    await daemon.says(
      new RegExp(
        `${client4} may use ssh for 3600 s, at the request of nobody of group adm.*"asker":"group adm","uid":65534`,
      ),
    )
    await daemon.says(new RegExp(`${client4} may no longer use ssh, at the request of nobody of group adm`))
  })

  it('they may no more than that, and others nothing', async () => {
    for (const [user, args, said] of [
      [member, ['reload'], /group adm may not ask for reload\n.*group-may/],
      [member, ['init', 'web', '--port', '80'], /run as root/],
      [member, ['remove', 'ssh'], /run as root/],
      [member, ['add', client4, '--service', 'nothing'], /there is no service nothing/],
      [
        nobody,
        ['list'],
        /you may not read or change the ruleset, and pkctl cannot ask pkctld: you may not use the socket/,
      ],
      [
        nobody,
        ['add', client4, '--service', 'ssh'],
        /you may not read or change the ruleset.*\n.*hint: run as root, .*or join the group/,
      ],
      [nobody, ['delete', client4, '--service', 'ssh'], /you may not read or change the ruleset/],
    ] as const) {
      const path = { env: { PATH: '/usr/sbin:/usr/bin:/bin' } }
      const { status, stderr } = await lab.on([...user, process.execPath, pkctl, ...args, '--socket', lab.socket], path)
      assert.equal(status, 1, args.join(' '))
      assert.match(stderr, said)
    }
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  /** What the socket answers to these bytes; nothing when it hangs up. */
  const raw = (text: string) =>
    new Promise<string>(resolve => {
      let answer = ''
      const socket = net.connect(`${lab.socket}.group`, () => socket.end(text))
      socket.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk))
      socket.on('error', () => undefined).on('close', () => resolve(answer))
    })

  it('takes nothing that pkctl itself would not send', async () => {
    const add = { request: 'add', service: 'ssh', address: client4, seconds: 60 }
    for (const message of [
      null,
      [],
      {},
      'add',
      { request: 'refresh' },
      { request: 'constructor' },
      { request: 'status', more: 1 },
      { ...add, address: '10.0.0.0/8' },
      { ...add, address: '::ffff:10.0.0.1' },
      { ...add, address: 'fe80::1%s0' },
      { ...add, address: `${client4} }; flush ruleset` },
      { ...add, address: 17 },
      { ...add, service: '../ssh' },
      { ...add, service: ['ssh'] },
      { ...add, seconds: 0 },
      { ...add, seconds: -1 },
      { ...add, seconds: 1.5 },
      { ...add, seconds: 1e12 },
      { ...add, seconds: '60' },
      { request: 'add', service: 'ssh', address: client4 },
      { ...add, window: 1 },
    ]) {
      const answer = await raw(JSON.stringify(message))
      assert.equal((JSON.parse(answer) as { ok: boolean }).ok, false, JSON.stringify(message))
    }
    for (const text of ['', '{', 'x'.repeat(5000)]) assert.doesNotMatch(await raw(text), /"ok":true/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal((JSON.parse(await raw(JSON.stringify(add))) as { ok: boolean }).ok, true)
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
  })

  it('without add and delete among group-may, members only look; without a group there is no such socket', async () => {
    await restart('[status, list]')
    assert.equal((await as(member, 'list')).status, 0)
    const { status, stderr } = await as(member, 'add', client4, '--service', 'ssh')
    assert.equal(status, 1)
    assert.match(stderr, /group adm may not ask for add/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    await daemon.stop('SIGKILL')
    assert.equal(fs.existsSync(`${lab.socket}.group`), true)
    daemon = await lab.daemon(configure(''))
    assert.equal(fs.existsSync(`${lab.socket}.group`), false)
    assert.match((await as(member, 'status')).stderr, /you may not use the socket of pkctld/)
    await restart('[reload]')
    assert.equal((await as(member, 'reload')).status, 0)
    await daemon.says(/configuration reloaded.*group adm/)
    assert.match((await as(member, 'status')).stderr, /may not ask for status/)
    await daemon.stop()
    assert.deepEqual([fs.existsSync(lab.socket), fs.existsSync(`${lab.socket}.group`)], [false, false])
    assert.match((await as(member, 'list')).stderr, /no daemon answers at/)
  })
})
