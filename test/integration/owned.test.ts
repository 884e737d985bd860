/** Where nft and the kernel can keep an owned table, other programs neither flush nor change it: Debian 13's nft, on this kernel. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Status } from '../../src/controller/report/collect-status.js'
import { must, sleep, until } from '../support/commands.js'
import { debianNft } from '../support/debian-nft.js'
import { config, ReconcileSite } from '../support/reconcile-site.js'
import { client4, server4, stranger4 } from '../support/lab.js'

const nft = await debianNft()
const skip = 'problem' in nft && nft.problem

/** The machine's firewall, as nftables.service loads it. */
const others = 'flush ruleset\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0;\n\t}\n}\n'

const secret = 9000
const guarded = config.replace('services:', `services:\n  secret: { port: ${secret}, protocol: udp }`)

const counting = `
  let count = 0
  const socket = require('node:dgram').createSocket('udp4')
  socket.on('message', () => console.log('received ' + ++count))
  socket.bind(${secret}, () => console.log('bound'))`
const trying = `
  const socket = require('node:dgram').createSocket('udp4')
  let sent = 0
  setInterval(() => socket.send('x', ${secret}, '${server4}', () => { if (++sent === 100) console.log('trying') }), 1)`

describe('a table that pkctld owns', { skip }, () => {
  const searched = process.env['PATH'] ?? ''
  const withNewNft = 'directory' in nft ? `${nft.directory}:${searched}` : searched
  let site: ReconcileSite
  /** What stands for /etc/nftables.conf on the server: ip-netns(8) puts it there for each program. */
  let saved = ''

  before(() => {
    process.env['PATH'] = withNewNft
  })
  after(() => {
    process.env['PATH'] = searched
  })
  afterEach(async () => {
    process.env['PATH'] = withNewNft
    await site.lab.remove()
    fs.rmSync(`/etc/netns/${site.lab.server}`, { recursive: true, force: true })
    // Not when another test has something there.
    if (fs.existsSync('/etc/netns') && fs.readdirSync('/etc/netns').length === 0) fs.rmdirSync('/etc/netns')
  })

  async function start(firewall = others): Promise<void> {
    site = await ReconcileSite.create(guarded, lab => {
      const directory = `/etc/netns/${lab.server}`
      fs.mkdirSync(directory, { recursive: true })
      saved = `${directory}/nftables.conf`
      fs.writeFileSync(saved, firewall, { mode: 0o644 })
    })
  }

  const status = async () => JSON.parse(await site.lab.mustPkctl('status', '--json')) as Status
  const mode = async () => (await status()).table?.mode
  const owned = () => until(async () => (await mode()) === 'owned')
  const restored = () => until(async () => (await mode()) === 'restored')
  const table = () => site.nft('list', 'table', 'inet', 'pkctl')
  const loadSaved = () => site.lab.on(['nft', '-f', '/etc/nftables.conf'])

  /** How many packets come to the port while `work` is done, of one that tries every millisecond. */
  async function packetsIn(work: () => Promise<void>): Promise<number> {
    const server = site.lab.start('server', [process.execPath, '-e', counting])
    await server.says(/bound/)
    const client = site.lab.start('client', [process.execPath, '-e', trying])
    await client.says(/trying/)
    await work()
    await sleep(300)
    await client.stop('SIGKILL')
    await server.stop('SIGKILL')
    return server.output.match(/received/g)?.length ?? 0
  }

  const tenFlushes = async () => {
    for (let i = 0; i < 10; i++) {
      await site.nft('flush', 'ruleset')
      const { status: failed, stderr } = await loadSaved()
      assert.equal(failed, 0, stderr)
      await sleep(50)
    }
  }

  it('lets nothing in, however often others flush the ruleset and load theirs', async () => {
    await start()
    await owned()
    assert.match(
      await site.lab.mustPkctl('status'),
      /^ {2}table: owned: other programs can neither change nor flush it$/m,
    )
    assert.match(site.daemon.output, /pkctld owns the table inet pkctl/)
    await site.knock(server4, client4)
    await site.openTo(server4, client4)
    assert.equal(await packetsIn(tenFlushes), 0)
    assert.match(await site.nft('list', 'ruleset'), /table inet filter/)
    await site.openTo(server4, client4)
    await site.closedTo(server4, stranger4)
  })

  it('without it, some come in', async () => {
    process.env['PATH'] = searched
    await start()
    assert.equal(await mode(), 'restored')
    assert.ok((await packetsIn(tenFlushes)) > 0)
  })

  it('refuses changes of others, and makes those of commands', async () => {
    await start()
    await owned()
    for (const change of [
      ['add', 'chain', 'inet', 'pkctl', 'x'],
      ['delete', 'table', 'inet', 'pkctl'],
    ]) {
      const { status: failed, stderr } = await site.lab.on(['nft', ...change])
      assert.notEqual(failed, 0)
      assert.match(stderr, /Operation not permitted/)
    }
    await commandsWork()
    assert.equal((await status()).healed, 0)
  })

  async function commandsWork(): Promise<void> {
    await site.lab.mustPkctl('init', 'web', '--port', '8080', '--syn')
    await site.closedTo(server4, client4, 8080)
    assert.match(await site.lab.mustPkctl('init', 'other', '--port', '8081', '--dry-run'), /"add"/)
    const taken = await site.lab.pkctl('init', 'taken', '--port', '8080', '--dry-run')
    assert.match(taken.stderr, /8080/)
    await site.lab.mustPkctl('add', client4, '--service', 'web', '--for', '600')
    await site.openTo(server4, client4, 8080)
    await site.lab.mustPkctl('delete', client4, '--service', 'web')
    await site.closedTo(server4, client4, 8080)
    await site.lab.mustPkctl('remove', 'web')
    await site.openTo(server4, client4, 8080)
    assert.doesNotMatch(await table(), /pk-other|pk-taken/)
    const pktables = async (...args: string[]) =>
      must(['ip', 'netns', 'exec', site.lab.server, process.execPath, site.pktables, ...args])
    await pktables('init', 'old', '--port', '8080', '--syn')
    await pktables('add', client4, '--service', 'old')
    await site.openTo(server4, client4, 8080)
    await pktables('delete', client4, '--service', 'old')
    await pktables('remove', 'old')
    assert.doesNotMatch(await table(), /pk-old/)
  }

  it('leaves the table as it was when it is killed, and owns it again at the next start', async () => {
    await start()
    await owned()
    await site.knock(server4, client4)
    await site.openTo(server4, client4)
    await site.daemon.stop('SIGKILL')
    await until(async () => !(await table()).includes('owner'))
    await site.closedTo(server4, stranger4)
    await site.openTo(server4, client4)
    await commandsWork()
    await site.restart(guarded)
    await owned()
    await site.openTo(server4, client4)
    assert.equal(await packetsIn(tenFlushes), 0)
    // The rule of iptables-nft is in a table of all, and does not survive a flush.
    assert.doesNotMatch(site.daemon.output, /the table inet pkctl was/)
    await site.allIsWell((await status()).healed)
  })

  it('gives the table up when it ends, and commands change it then', async () => {
    await start()
    await owned()
    assert.equal(await site.daemon.stop(), 0)
    assert.match(await table(), /flags persist/)
    await site.closedTo(server4, stranger4)
    await commandsWork()
    const closed = await site.lab.pkctl('close', '--config', `${site.lab.directory}/pkctl.yaml`)
    assert.equal(closed.status, 0, closed.stderr)
    await site.nft('delete', 'table', 'inet', 'pkctl')
    await site.openTo(server4, stranger4)
    // As at boot, before the daemon starts.
    await site.lab.mustPkctl('close', '--config', `${site.lab.directory}/pkctl.yaml`)
    assert.match(await table(), /flags persist/)
    await site.closedTo(server4, stranger4)
  })

  it('owns a table that was made without the flag for it, once it has made it again', async () => {
    await start()
    await owned()
    await site.lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '600')
    await site.daemon.stop('SIGKILL')
    await until(async () => !(await table()).includes('owner'))
    const plain = (await table()).replace(/^\tflags persist\n/m, '')
    await site.nft('-f', site.lab.file('plain.nft', `delete table inet pkctl\n${plain}`))
    assert.doesNotMatch(await table(), /persist/)
    await site.lab.adoptTable()
    await site.restart(guarded)
    await owned()
    await site.openTo(server4, client4)
    await site.closedTo(server4, stranger4)
  })

  it('goes on with another session when its own is killed or hangs, and says which request was not answered', async () => {
    await start()
    await owned()
    await site.knock(server4, client4)
    process.kill(site.session() as number, 'SIGKILL')
    await site.daemon.says(/nft session has ended, and another one owns the table inet pkctl now: SIGKILL/)
    await owned()
    const second = site.session() as number
    process.kill(second, 'SIGSTOP')
    const added = site.lab.pkctl('add', stranger4, '--service', 'ssh', '--for', '60')
    await site.daemon.says(
      /another one owns the table inet pkctl now: nft --check, 1 command \(.*\) did not end within 10 s/,
    )
    assert.equal((await added).status === 0, false)
    assert.ok(!fs.existsSync(`/proc/${second}`))
    await owned()
    await site.lab.mustPkctl('add', stranger4, '--service', 'ssh', '--for', '60')
    await site.openTo(server4, stranger4)
    await site.openTo(server4, client4)
    assert.equal(await packetsIn(tenFlushes), 0)
  })

  it('lets a saved ruleset with the table be loaded, revives no grant of it, and says what to do', async () => {
    await start()
    await owned()
    await site.lab.mustPkctl('add', stranger4, '--service', 'ssh', '--for', '1h')
    const dump = await table()
    await site.lab.mustPkctl('delete', stranger4, '--service', 'ssh')
    assert.match(dump, /flags owner,persist/)
    fs.writeFileSync(saved, `${others}${dump}`)
    await restored()
    await site.daemon.says(
      /nftables\.conf contains that table, and could not be loaded.*take the table out of that file/,
    )
    assert.match(
      await site.lab.mustPkctl('status'),
      /^ {2}table: restored after changes: \/etc\/nftables\.conf contains/m,
    )
    const { stdout } = await site.lab.pkctl('doctor', '--config', `${site.lab.directory}/pkctl.yaml`)
    assert.match(
      stdout.replace(/\s+/g, ' '),
      /does not own its table: \/etc\/nftables\.conf contains that table.*\(table-not-owned\)/,
    )
    await site.nft('flush', 'ruleset')
    const loaded = await loadSaved()
    assert.equal(loaded.status, 0, loaded.stderr)
    await site.restored(1)
    assert.match(await site.nft('list', 'ruleset'), /table inet filter/)
    await site.closedTo(server4, stranger4)
    fs.writeFileSync(saved, others)
    await owned()
    assert.equal(await packetsIn(tenFlushes), 0)
    await site.allIsWell((await status()).healed)
  })

  it('does not own the table at a start where the saved ruleset has it, or cannot be read', async () => {
    await start(`${others}add table inet pkctl\n`)
    assert.equal(await mode(), 'restored')
    assert.equal((await loadSaved()).status, 0)
    await site.restored(0)
    fs.writeFileSync(saved, `${others}# table inet pkctl {\n`)
    await owned()
  })

  it('writes nothing into the home directory', async () => {
    const home = '/root/.nft.history'
    const before = fs.existsSync(home) ? fs.statSync(home).mtimeMs : 0
    await start()
    await owned()
    await site.lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '60')
    assert.equal(await site.daemon.stop(), 0)
    assert.equal(fs.existsSync(home) ? fs.statSync(home).mtimeMs : 0, before)
  })
})
