/** What a crash, a power cut or a disk leaves of the state, and of the sets in the kernel. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { sleep, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

const services = 'services:\n  ssh: { port: 22, window: 600 }'
const recordLength = 32

describe('a fault of the state', () => {
  let lab: Lab
  const state = (name: string) => path.join(lab.directory, 'state', name)
  const laptop = (options = '') =>
    `${services}\ncredentials:\n  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh]${options} }`

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22)
  })
  afterEach(() => lab.remove())

  const nft = async (...args: string[]) => {
    const { status, stderr } = await lab.on(['nft', ...args])
    assert.deepEqual([status, stderr], [0, ''])
  }
  /** Who gets in behind a knock: the client, and a stranger. */
  async function knock(hex = knockHex()): Promise<(string | undefined)[]> {
    const connect = (from: string) => ({ connect: { host: server4, port: 22, from } })
    const send = { send: { host: server4, port: knockPort, from: client4, hex } }
    const [, client, stranger] = await lab.peer(send, connect(client4), connect(stranger4))
    return [client?.result, stranger?.result]
  }
  const revoke = () => lab.mustPkctl('delete', client4, '--service', 'ssh')

  it('the power fails while state is written: what is whole counts, and what is torn harms nothing', async () => {
    const ran = path.join(lab.directory, 'ran')
    const config = lab.config(laptop(`, window: 5, on-expiry: { shell: 'echo {ip} >>${ran}' }`))
    const daemon = await lab.daemon(config)
    const first = knockHex()
    assert.deepEqual(await knock(first), ['open', 'timeout'])
    await until(() => fs.existsSync(state('due')) && fs.readFileSync(state('due'), 'utf8').includes(client4))
    await daemon.stop('SIGKILL')
    await nft('flush', 'ruleset')
    // Half of the next records, and files that were about to take the place of others.
    fs.appendFileSync(state('replays'), fs.readFileSync(state('replays')).subarray(0, recordLength / 2))
    fs.appendFileSync(state('due'), '\n{"credential":"laptop","addr')
    fs.writeFileSync(state('replays.new'), '')
    fs.writeFileSync(state('due.new'), '\n{"creden')
    fs.writeFileSync(state('services.json.new'), '{"serv')

    await lab.mustPkctl('close', '--config', config)
    assert.equal(await lab.opens(server4, client4), 'timeout', 'closed before the daemon runs')
    const next = await lab.daemon(config)
    assert.deepEqual(await knock(first), ['timeout', 'timeout'], 'a copy from before the cut')
    await next.says(/"reason":"(replayed|skewed)"/)
    await until(() => fs.existsSync(ran) && fs.readFileSync(ran, 'utf8') === `${client4}\n`)
    assert.deepEqual(await knock(), ['open', 'timeout'])
    assert.equal(fs.statSync(state('replays')).size % recordLength, 0)
    assert.doesNotMatch(next.output, /damaged/)
  })

  const damages: readonly [string, (journal: Buffer) => Buffer][] = [
    ['a flipped bit', journal => (journal.writeUInt8(journal.readUInt8(3) ^ 1, 3), journal)],
    ['blocks of zeros, as a file system leaves them', journal => Buffer.alloc(journal.length)],
  ]
  for (const [what, damage] of damages) {
    it(`a damaged replay journal (${what}): no knock from before it counts again`, async () => {
      const skew = 60
      const config = lab.config(laptop(`, skew: ${skew}`))
      const daemon = await lab.daemon(config)
      const first = knockHex()
      assert.deepEqual(await knock(first), ['open', 'timeout'])
      await daemon.stop()
      await revoke()
      fs.writeFileSync(state('replays'), damage(fs.readFileSync(state('replays'))))
      const next = await lab.daemon(config)
      await next.says(/damaged records of knocks: 1;/)
      assert.deepEqual(await knock(first), ['timeout', 'timeout'], 'a copy from before')
      assert.deepEqual(await knock(), ['timeout', 'timeout'], 'one that could be in the damaged record')
      await next.says(/"reason":"stale"/)
      // One that is newer than any that could have been accepted: the same as waiting for that time.
      await until(async () => (await knock(knockHex({ ahead: skew })))[0] === 'open')
      assert.equal(await lab.opens(server4, stranger4), 'timeout')
    })
  }

  it('a set of grants is full: nothing opens, and what is said is true, until there is space', async () => {
    const set = (name: string) =>
      `set ${name} { type ipv4_addr; flags timeout; size 1; elements = { 192.0.2.1 timeout 1h }; };`
    await nft(`table inet pkctl { ${set('pk-ssh-4')} ${set('pk-ssh.add-4')} }`)
    await lab.adoptTable()
    const daemon = await lab.daemon(lab.config(laptop()))
    assert.deepEqual(await knock(), ['timeout', 'timeout'])
    await daemon.says(/is valid, but the kernel has not opened ssh: its set is full/)
    const added = await lab.pkctl('add', client4, '--service', 'ssh')
    assert.equal(added.status, 1)
    assert.match(added.stderr, /^pkctl: hint: a set of grants has reached its size/m)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    for (const name of ['pk-ssh-4', 'pk-ssh.add-4'])
      await nft('delete', 'element', 'inet', 'pkctl', name, '{ 192.0.2.1 }')
    assert.deepEqual(await knock(), ['open', 'timeout'])
    await daemon.says(/opens ssh/)
    await lab.mustPkctl('add', client4, '--service', 'ssh')
  })

  it('a chain that has to go is in use: the table is rebuilt, with its grants', async () => {
    const config = lab.config(laptop())
    const daemon = await lab.daemon(config)
    assert.deepEqual(await knock(), ['open', 'timeout'])
    await daemon.stop('SIGKILL')
    // A rule of another program that leads into a chain of the packet path.
    const { stdout } = await lab.on(['nft', 'list', 'table', 'inet', 'pkctl'])
    const chain = /chain (grant-\d+)/.exec(stdout)?.[1]
    await nft(`add chain inet pkctl foreign; add rule inet pkctl foreign jump ${chain}`)
    const next = await lab.daemon(config)
    await next.says(/chains of the table inet pkctl were in use, so pkctl rebuilt the table/)
    assert.equal(await lab.opens(server4, client4), 'open', 'the grant runs on')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    await revoke()
    assert.deepEqual(await knock(), ['open', 'timeout'])
  })

  it('100,000 grants, and a ruleset that changes all the time: all answer, and a flush is undone', async () => {
    const daemon = await lab.daemon(lab.config(laptop(), 'log: { level: debug }'))
    const addresses = Array.from({ length: 100_000 }, (_, i) => `10.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`)
    const batch = lab.file(
      'grants.nft',
      `add element inet pkctl pk-ssh-4 { ${addresses.map(one => `${one} timeout 1h`).join()} }`,
    )
    await nft('-f', batch)
    const changes =
      'nft add table ip other; while :; do nft add chain ip other c; nft delete chain ip other c; sleep 0.2; done'
    const other = lab.start('server', ['sh', '-c', changes])
    await sleep(1000)
    assert.deepEqual(await knock(), ['open', 'timeout'], 'knocks open meanwhile')
    const asked = await Promise.all([lab.pkctl('status'), lab.pkctl('status'), lab.pkctl('list')])
    for (const { status, stderr } of asked) if (status !== 0) assert.match(stderr, /^pkctl: error: /m)
    await nft('flush', 'ruleset')
    await until(async () => (await lab.opens(server4, stranger4)) === 'timeout')
    await until(async () => (await knock())[0] === 'open')
    await other.stop('SIGKILL')
    await until(async () => (await lab.pkctl('status')).status === 0)
    assert.match(await lab.mustPkctl('status'), /ssh \(\d+ granted\)/)
    assert.equal(await daemon.stop(), 0, daemon.output)
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
  })
})
