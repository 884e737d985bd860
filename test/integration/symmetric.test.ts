/** pkctl's own knock with a symmetric key: from two keys to the open port. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parseIdentity } from '../../src/knock/pk1/identity.js'
import { symmetric } from '../../src/knock/pk1/symmetric.js'
import type { Background } from '../support/commands.js'
import { pkctl, sleep, until } from '../support/commands.js'
import { knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'

const key = `0x${'5a'.repeat(32)}`
const other = `0x${'a5'.repeat(32)}`

interface Knocks {
  readonly refused: Record<string, number>
  readonly ofOtherMinutes: number
}

describe('a symmetric knock', () => {
  let lab: Lab
  let daemon: Background
  let identity: string
  const state = () => path.join(lab.directory, 'state')

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    identity = (await lab.mustPkctl('keygen', '--server', '--state-directory', state())).trim()
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--window', '3')
    const credentials = ['phone', 'camera'].map(
      (name, i) => `  ${name}: { type: symmetric, key: "${[key, other][i]}", opens: [ssh], rate: none }\n`,
    )
    daemon = await lab.daemon(lab.config(`credentials:\n${credentials.join('')}`))
  })
  after(() => lab.remove())

  const packet = (time = Date.now() / 1000, text = key, port = knockPort) => {
    const secret = { identity: parseIdentity(identity) as Buffer, key: Buffer.from(text.slice(2), 'hex') }
    return symmetric.encode(
      { port, time, random: size => Buffer.from(crypto.getRandomValues(new Uint8Array(size))) },
      secret,
    )
  }
  const send = (bytes: Buffer, host = server4, from = client4) => ({
    send: { host, port: knockPort, from, hex: bytes.toString('hex') },
  })

  it("has one identity, in a file that only the daemon's user reads", async () => {
    assert.match(identity, /^pk1:[\w-]{43}$/)
    assert.equal((await lab.mustPkctl('keygen', '--server', '--state-directory', state())).trim(), identity)
    assert.equal(fs.statSync(path.join(state(), 'server-key')).mode & 0o777, 0o600)
  })

  for (const [family, host, source, stranger] of [
    ['IPv4', server4, client4, stranger4],
    ['IPv6', server6, client6, stranger6],
  ] as const) {
    it(`${family}: closed, knock, open at once, closed to others, replay refused, closed again`, async () => {
      assert.equal(await lab.opens(host, source), 'timeout', 'closed before the knock')
      const knock = packet()
      const [, connected] = await lab.peer(send(knock, host, source), { connect: { host, port: 22, from: source } })
      assert.equal(connected?.result, 'open', 'open at once after it')
      assert.equal(await lab.opens(host, stranger), 'timeout', 'closed to another source')
      const [, replayed] = await lab.peer(send(knock, host, stranger), { connect: { host, port: 22, from: stranger } })
      assert.equal(replayed?.result, 'timeout', 'the same knock opens nothing for another')
      await daemon.says(/refused: replayed/)
      await sleep(3500)
      assert.equal(await lab.opens(host, source), 'timeout', 'closed after the window')
    })
  }

  it('names the device that knocked', async () => {
    await lab.peer(send(packet(undefined, other), server4, stranger4))
    await daemon.says(/knock by camera from 10\.77\.0\.3 opens ssh/)
  })

  const knocks = async () => (JSON.parse(await lab.mustPkctl('status', '--json')) as { knocks: Knocks }).knocks
  const counts = async () => (await knocks()).refused

  it('a packet of another minute, server or size does not leave the kernel, which counts those of the size', async () => {
    const { refused: before, ofOtherMinutes } = await knocks()
    const [one, elsewhere] = [packet(), packet()]
    elsewhere[0] = (elsewhere[0] as number) ^ 1
    for (const bytes of [packet(Date.now() / 1000 - 120), packet(Date.now() / 1000 + 120), elsewhere, one.subarray(1)])
      await lab.peer(send(bytes))
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.deepEqual(await knocks(), { ...(await knocks()), refused: before, ofOtherMinutes: ofOtherMinutes + 3 })
    assert.match(
      await lab.mustPkctl('status'),
      /^ {2}\d+ packets of the right size in the wrong minute: is a clock wrong\?$/m,
    )
    const { stdout } = await lab.pkctl('doctor', '--config', path.join(lab.directory, 'pkctl.yaml'), '--json')
    assert.match(stdout, /"wrong-minute"/)
  })

  it('one with a byte changed, for another port or of an unknown key is refused', async () => {
    const before = (await counts())['bad-hash'] ?? 0
    const changed = packet()
    changed[100] = (changed[100] as number) ^ 1
    const wrong = [changed, packet(undefined, key, knockPort + 1), packet(undefined, `0x${'11'.repeat(32)}`)]
    for (const bytes of wrong) await lab.peer(send(bytes))
    await until(async () => (await counts())['bad-hash'] === before + wrong.length)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  it('is still known in the next window', async () => {
    // The kernel has the next one at the start, so that this shows the one after it.
    const knocked = async () => {
      const [, connected] = await lab.peer(send(packet()), { connect: { host: server4, port: 22, from: client4 } })
      return connected?.result
    }
    await sleep(61_000)
    assert.equal(await knocked(), 'open')
    const { healed } = JSON.parse(await lab.mustPkctl('status', '--json')) as { healed: number }
    assert.equal(healed, 0, 'the new words are no change by another program')
  })

  it('is sent by pkctl knock, from a host entry', async () => {
    const home = path.join(lab.directory, 'home')
    fs.mkdirSync(path.join(home, '.config/pkctl'), { recursive: true })
    fs.writeFileSync(path.join(home, '.config/pkctl/key'), `${key}\n`, { mode: 0o600 })
    const entry = (text: string) => {
      fs.writeFileSync(path.join(home, '.config/pkctl/hosts.yaml'), text)
    }
    const run = (...args: string[]) =>
      lab.from([process.execPath, pkctl, 'knock', 'home', ...args], { env: { HOME: home } })
    entry(`home: { host: ${server4}, identity: "${identity}", key-file: ~/.config/pkctl/key, connect: 22 }\n`)
    const { stdout, stderr } = await run()
    assert.match(stdout, /port 22\/tcp is open/, stderr)
    // The grant that this one closes can have ended by itself: what the log has of it has not.
    const closing = await run('--close')
    assert.equal(closing.status, 0, closing.stderr)
    await daemon.says(/knock by phone from \S+ closes ssh/)
    const cut = await run('--service', 'ssh', '--window', '2s')
    assert.equal(cut.status, 0, cut.stderr)
    await daemon.says(/knock by phone from \S+ opens ssh for 2 s/)
    const misuse = await run('--tag', 'SSHK')
    assert.equal(misuse.status, 2)
    assert.match(misuse.stderr, /a symmetric knock has no --tag/)
    entry(`home: { host: ${server4}, identity: "pk1:abc", key-file: ~/.config/pkctl/key }\n`)
    assert.match((await run()).stderr, /the identity of the host entry is not one/)
    entry(`home: { host: ${server4}, identity: "${identity}", tag: SSHK }\n`)
    assert.match(
      (await run()).stderr,
      /'tag' and 'identity' do not go together|'identity' and 'tag' do not go together/,
    )
  })

  it('is not let out of the kernel any more some time after the daemon has died, which nothing has to notice', async () => {
    const ruleset = async () => (await lab.on(['nft', 'list', 'table', 'inet', 'pkctl'])).stdout
    const set = async (name: string) =>
      new RegExp(`set ${name} \\{[^}]*?elements = \\{([^}]*)`).exec(await ruleset())?.[1]
    /** A packet that leaves the kernel has made its source pending before. */
    const leaves = async () => {
      await until(async () => (await set('pending-4')) === undefined)
      await lab.peer(send(packet()))
      return (await set('pending-4'))?.includes(client4) === true
    }
    await daemon.stop('SIGKILL')
    assert.match((await set('windows')) ?? '', /udp timeout 1m30s expires/)
    assert.equal(await leaves(), true, 'the period in which it died, and the next one, are known')
    await until(async () => sleep(1000).then(async () => (await set('windows')) === undefined), 100_000)
    assert.equal(await leaves(), false)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })
})
