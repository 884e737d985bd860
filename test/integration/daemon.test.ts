/** The daemon's life on the real kernel: reload, signals, restart, crash, full disk, and what it says about itself. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as net from 'node:net'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Status } from '../../src/controller/report/collect-status.js'
import { ask } from '../../src/util/socket/client.js'
import { must, sleep, until } from '../support/commands.js'
import type { KnockOptions } from '../support/knocks.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4 } from '../support/lab.js'

const services = 'services:\n  ssh: { port: 22, window: 30 }'
const laptop = 'laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }'
const plain = `${services}\ncredentials:\n  ${laptop}`

describe('the daemon', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22, 2222, 8080)
  })
  afterEach(() => lab.remove())

  const status = async () => JSON.parse(await lab.mustPkctl('status', '--json')) as Status
  const refused = async () => (await status()).knocks.refused

  /** Knocks and connects at once. */
  async function knock(options: KnockOptions & { to?: string; from?: string; connect?: number; hex?: string } = {}) {
    const { to = server4, from = client4, connect = 22, hex = knockHex(options), port = knockPort } = options
    const [, connected] = await lab.peer(
      { send: { host: to, port, from, hex } },
      { connect: { host: to, port: connect, from } },
    )
    return connected?.result
  }

  it('scaffolds the services of its configuration, and leaves them closed at its end, with running grants', async () => {
    const daemon = await lab.daemon(lab.config(plain))
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(await knock(), 'open')
    assert.equal(await daemon.stop(), 0)
    assert.match(daemon.output, /stopped/)
    assert.equal(await lab.opens(server4, client4), 'open', 'a running grant stays')
    assert.equal(await lab.opens(server4, stranger4), 'timeout', 'closed to others')
    const ruleset = (await lab.on(['nft', 'list', 'ruleset'])).stdout
    assert.doesNotMatch(ruleset, /queue|mangle \{|knock-|grant-|pending|meter/, 'the packet path is gone')
  })

  it('accepts knocks on every port, or on the configured one', async () => {
    const tablet = 'tablet: { type: pkd, tag: TABL, key: other, port: 5555, opens: [ssh] }'
    await lab.daemon(lab.config(`${plain}\n  ${tablet}`))
    for (const port of [1, 1023, 65_535]) {
      assert.equal(await knock({ port }), 'open', `port ${port}`)
      await lab.mustPkctl('delete', client4, '--service', 'ssh')
    }
    assert.equal(await knock({ tag: 'TABL', key: 'other', port: 5556 }), 'timeout')
    assert.equal(await knock({ tag: 'TABL', key: 'other', port: 5555 }), 'open')
  })

  it('refuses by name what is not right, in the order shape, tag, hash, time, replay, rate', async () => {
    await lab.daemon(lab.config(plain.replace('opens', 'rate: 2/1h, skew: 120, opens')))
    const hex = knockHex()
    assert.equal(await knock({ key: 'wrong' }), 'timeout')
    assert.equal(await knock({ ahead: 3600 * 4 }), 'timeout')
    assert.equal(await knock({ ahead: -121 }), 'timeout')
    assert.equal(await knock({ hex, port: 40_001 }), 'timeout', 'another port than it was made for')
    assert.equal(await knock({ hex }), 'open')
    assert.equal(await knock({ hex }), 'open', 'still granted, and the replay changes nothing')
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    assert.equal(await knock({ hex }), 'timeout')
    assert.equal(await knock(), 'open')
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    assert.equal(await knock(), 'timeout', 'the third in an hour')
    assert.deepEqual(await refused(), { 'bad-hash': 2, skewed: 2, replayed: 2, 'rate-limited': 1 })
  })

  it('a right knock is used up also when the rate refuses it', async () => {
    const file = lab.config(plain.replace('opens', 'rate: 1/1h, opens'))
    const daemon = await lab.daemon(file)
    assert.equal(await knock(), 'open')
    const hex = knockHex()
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    assert.equal(await knock({ hex }), 'timeout')
    await daemon.says(/rate-limited/)
    assert.equal(await knock({ hex, from: stranger4 }), 'timeout')
    await daemon.says(/replayed/)
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`refuses a replay after a restart by ${signal}, and nothing opens meanwhile`, async () => {
      const file = lab.config(plain.replace('opens', 'skew: 120, opens'))
      const daemon = await lab.daemon(file)
      const hex = knockHex()
      assert.equal(await knock({ hex }), 'open')
      await daemon.stop(signal)
      await lab.mustPkctl('delete', client4, '--service', 'ssh')
      assert.equal(await knock({ hex: knockHex() }), 'timeout', 'no daemon, no grant')
      assert.equal(await lab.opens(server4, stranger4), 'timeout')
      await lab.daemon(file)
      assert.equal(await knock({ hex }), 'timeout', 'a replay')
      assert.deepEqual(await refused(), { replayed: 1 })
      assert.equal(await knock(), 'open')
    })
  }

  it('with skew -1 takes any clock, and never the same knock twice, also after a restart', async () => {
    const file = lab.config(plain.replace('opens', 'skew: -1, opens'))
    const daemon = await lab.daemon(file)
    const hex = knockHex({ time: 1000 })
    assert.equal(await knock({ hex }), 'open')
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    assert.equal(await knock({ hex }), 'timeout')
    await daemon.stop('SIGKILL')
    await lab.daemon(file)
    assert.equal(await knock({ hex }), 'timeout')
    assert.equal(await knock({ time: 999 }), 'open', 'another knock with an older time')
  })

  it('a knock right after the use of a grant of single use gives another one, for one connection', async () => {
    await lab.daemon(lab.config(plain.replace('port: 22', 'port: 22, single-use: true')))
    for (let i = 0; i < 3; i++) assert.equal(await knock(), 'open')
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  it('several credentials share a tag; one opens several services, several open one', async () => {
    const config = [
      'services: { ssh: { port: 22 }, web: { port: 8080, window: 2 } }',
      'credentials:',
      '  one: { type: pkd, tag: SAME, key: first, opens: [ssh, web], window: 1s }',
      '  two: { type: pkd, tag: SAME, key: second, opens: [web] }',
      '  off: { type: pkd, tag: SAME, key: third, opens: [web], enabled: false }',
    ]
    await lab.daemon(lab.config(config.join('\n')))
    assert.equal(await knock({ tag: 'SAME', key: 'third', connect: 8080 }), 'timeout', 'not enabled')
    assert.equal(await knock({ tag: 'SAME', key: 'second' }), 'timeout', 'does not open ssh')
    assert.equal(await lab.opens(server4, client4, 8080), 'open')
    assert.equal(await knock({ tag: 'SAME', key: 'first' }), 'open')
    await sleep(1300)
    assert.equal(await lab.opens(server4, client4), 'timeout', "the credential's window counts")
  })

  it('never grants by a mark that came with the packet, and leaves the marks of others', async () => {
    await lab.daemon(lab.config(plain))
    const rules = [
      'add table inet marks',
      'add chain inet marks early { type filter hook input priority -170; }',
      'add chain inet marks late { type filter hook input priority 0; }',
      // Whatever a plan's mark could be, on every packet of the stranger; and a mark of somebody else on all packets.
      `add rule inet marks early ip saddr ${stranger4} meta mark set 0x00041234`,
      `add rule inet marks early ip saddr ${client4} meta mark set 0x00001234`,
      'add rule inet marks late tcp dport 22 meta mark 0x00001234 counter',
    ]
    await must(['ip', 'netns', 'exec', lab.server, 'nft', '-f', lab.file('marks.nft', `${rules.join('\n')}\n`)])
    assert.equal(await knock({ from: stranger4, key: 'wrong' }), 'timeout')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    assert.equal(await knock(), 'open')
    assert.match(
      (await lab.on(['nft', 'list', 'table', 'inet', 'marks'])).stdout,
      /mark 0x00001234 counter packets [1-9]/,
    )
  })

  it('does not grant, nor drop, by marks that others set while the packet is on its way', async () => {
    await lab.daemon(lab.config(plain))
    const plan = /0x([0-9a-f]+) : goto grant/.exec(
      (await lab.on(['nft', 'list', 'map', 'inet', 'pkctl', 'grants'])).stdout,
    )
    assert.ok(plan)
    const mark = `0x${plan[1]}`
    const iptables = (...args: string[]) =>
      must([
        'ip',
        'netns',
        'exec',
        lab.server,
        'iptables-nft',
        '-t',
        'mangle',
        ...args,
        '-j',
        'MARK',
        '--set-mark',
        mark,
      ])
    await iptables('-A', 'INPUT', '-p', 'tcp', '-s', stranger4)
    await iptables('-A', 'PREROUTING', '-p', 'tcp', '-s', stranger4)
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    assert.equal(await lab.opens(server4, stranger4, 8080), 'open', 'what is not guarded is not touched')
  })

  it('a service renamed in the configuration keeps its port closed all the time', async () => {
    await lab.daemon(lab.config(plain))
    const tries = lab.peer(
      ...Array.from({ length: 40 }, () => ({ connect: { host: server4, port: 22, from: stranger4, timeout: 50 } })),
    )
    lab.config(`services: { sshd: { port: 22 } }\ncredentials:\n  ${laptop.replace('ssh', 'sshd')}`)
    assert.match(await lab.mustPkctl('reload'), /service ssh was replaced/)
    assert.deepEqual(new Set((await tries).map(({ result }) => result)), new Set(['timeout']))
    assert.equal(await knock(), 'open')
    assert.doesNotMatch((await lab.on(['nft', 'list', 'ruleset'])).stdout, /pk-ssh-4|chain pk-ssh /)
  })

  it('fail-open, only where asked: a port opens while the daemon is away, and closes when it is back', async () => {
    const config = lab.config('services: { ssh: { port: 22 }, web: { port: 8080, fail-open: true } }')
    const results = async () => [await lab.opens(server4, client4), await lab.opens(server4, client4, 8080)]
    const daemon = await lab.daemon(config)
    await sleep(6000)
    assert.deepEqual(await results(), ['timeout', 'timeout'])
    await daemon.stop('SIGKILL')
    assert.deepEqual(await results(), ['timeout', 'timeout'], 'not at once: it may be back soon')
    await until(async () => (await lab.opens(server4, client4, 8080)) === 'open')
    assert.deepEqual(await results(), ['timeout', 'open'])
    await lab.daemon(config)
    assert.deepEqual(await results(), ['timeout', 'timeout'])
  })

  it('a changed queue number waits for a restart, and knocks go on', async () => {
    const file = lab.config(plain)
    const daemon = await lab.daemon(file)
    fs.appendFileSync(file, 'queue: { number: 63 }\n')
    const reloaded = await lab.pkctl('reload')
    assert.deepEqual([reloaded.status, reloaded.stdout], [0, 'reloaded\n'])
    const warning = 'changes to queue.number take effect after a restart of pkctld; until then the old values apply'
    assert.match(reloaded.stderr, new RegExp(`^pkctl: warning: ${warning}\n.*hint: systemctl restart pkctld`))
    await daemon.says(new RegExp(warning))
    assert.equal(await knock(), 'open')
    assert.equal((await status()).queue.number, 62)
  })

  it('a reload with other options of the start names them, each time until they are as before', async () => {
    const first = fs.readFileSync(lab.config(plain), 'utf8')
    const file = path.join(lab.directory, 'pkctl.yaml')
    await lab.daemon(file)
    const socket = `{ path: ${lab.socket}2, group: daemon, group-may: [list] }`
    const other = first.replace(/^socket: .*/m, `socket: ${socket}`).replace('/state', '/state2')
    const limits = 'limits: { replay-entries: 5000, any-clock-entries: 6000, per-source: 30 }'
    fs.writeFileSync(file, `${other}${limits}\nqueue: { number: 63, max-length: 99 }\nmarks: { mask: 0xff000000 }\n`)
    const names = [
      ...['queue.number', 'queue.max-length', 'marks.mask', 'state-directory'],
      ...['socket.path', 'socket.group', 'socket.group-may', 'limits.replay-entries', 'limits.any-clock-entries'],
    ]
    for (let time = 0; time < 2; time++) {
      const answer = (await ask(lab.socket, { request: 'reload' })) as { result: Record<string, string[]> }
      assert.deepEqual(answer.result['needsRestart'], names)
      assert.ok(answer.result['warnings']?.some(warning => warning.includes(names.join(', '))))
    }
    assert.equal(await knock(), 'open')
    fs.writeFileSync(file, first)
    const { stderr } = await lab.pkctl('reload')
    assert.equal(stderr, '')
  })

  it('a reload with another state-directory keeps all state in the old one until a restart', async () => {
    const file = lab.config(plain)
    await lab.daemon(file)
    const text = fs.readFileSync(file, 'utf8').replace('/state', '/state2').replace('port: 22', 'port: 2222')
    fs.writeFileSync(file, text)
    await lab.mustPkctl('reload')
    assert.equal(await knock({ connect: 2222 }), 'open')
    const files = (name: string) => fs.readdirSync(path.join(lab.directory, name)).sort()
    // There only where a message of level debug was logged.
    const kept = files('state').filter(name => name !== 'history-unverified')
    assert.deepEqual(kept, ['due', 'history', 'replays', 'services.json', 'signed-grants'])
    assert.deepEqual(files('state2'), ['services.json'])
    assert.match(fs.readFileSync(path.join(lab.directory, 'state/services.json'), 'utf8'), /2222/)
  })

  it('answers what is in flight when it ends', async () => {
    const daemon = await lab.daemon(lab.config(plain))
    // The client must be there, or its knock comes when the daemon goes on already.
    await lab.peer({ wait: 1 })
    daemon.child.kill('SIGSTOP')
    const connecting = knock()
    const waits = /^ *62 +\d+ +[1-9]/m
    await until(async () => waits.test((await lab.on(['cat', '/proc/net/netfilter/nfnetlink_queue'])).stdout))
    daemon.child.kill('SIGTERM')
    daemon.child.kill('SIGCONT')
    assert.equal(await connecting, 'open')
    assert.equal(await daemon.exited, 0)
  })

  it('does not die of SIGHUP while it starts', async () => {
    const config = lab.config(plain)
    // The socket is there before the queue and the ruleset are; SIGHUP then waits for them.
    const daemon = lab.startDaemon(config)
    await until(() => fs.existsSync(lab.socket))
    daemon.child.kill('SIGHUP')
    await daemon.says(/listening on queue/)
    await daemon.says(/configuration reloaded/)
    assert.equal(await daemon.stop(), 0)
  })

  it('ends at once though a client holds its socket open', async () => {
    const daemon = await lab.daemon(lab.config(plain))
    const socket = net.connect(lab.socket)
    socket.on('error', () => undefined)
    await new Promise(resolve => socket.once('connect', resolve))
    socket.write('{')
    const start = Date.now()
    assert.equal(await daemon.stop(), 0)
    assert.ok(Date.now() - start < 4000)
    socket.destroy()
  })

  it("a second one with another queue does not take the first one's packet path away", async () => {
    await lab.daemon(lab.config(plain))
    const other = `state-directory: ${lab.directory}/2\nsocket: { path: ${lab.directory}/2.sock }\nqueue: { number: 63 }\n${plain}\n`
    const { status: exit, stderr } = await lab.pkctl('daemon', '--config', lab.file('other.yaml', other))
    assert.equal(exit, 1)
    assert.match(stderr, /another pkctld listens on queue 62/)
    assert.equal(await knock(), 'open')
  })

  it('reload takes a good configuration over and keeps grants; a broken one is refused whole', async () => {
    const file = lab.config(plain)
    const daemon = await lab.daemon(file)
    assert.equal(await knock(), 'open')
    fs.appendFileSync(file, '  phone: { type: pkd, tag: PHON, key: k, opens: [web] }\n')
    const answer = await lab.pkctl('reload')
    assert.equal(answer.status, 0)
    assert.match(answer.stderr, /service 'web' is not in the configuration/)
    lab.config(`services: { ssh: { port: [22, 2222], reject: reset }, web: { port: 8080 } }\ncredentials:\n  ${laptop}`)
    process.kill(daemon.child.pid as number, 'SIGHUP')
    await until(async () => (await lab.opens(server4, stranger4, 2222)) === 'reset')
    assert.equal(await lab.opens(server4, client4), 'open', 'the grant runs on')
    assert.equal(await lab.opens(server4, client4, 8080), 'timeout')
    const before = (await lab.on(['nft', '-s', 'list', 'ruleset'])).stdout
    lab.config('services: { ssh: { port: 0 } }')
    const broken = await lab.pkctl('reload')
    assert.equal(broken.status, 1)
    assert.match(broken.stderr, /services\.ssh\.port: expected a port from 1 to 65535, got 0/)
    process.kill(daemon.child.pid as number, 'SIGHUP')
    await daemon.says(/refused, the old one stays active/)
    assert.equal((await lab.on(['nft', '-s', 'list', 'ruleset'])).stdout, before)
    assert.equal(await knock(), 'open')
  })

  it('a service that left the configuration stays closed, and the log says so', async () => {
    const daemon = await lab.daemon(lab.config(`services: { ssh: { port: 22 }, web: { port: 8080 } }`))
    lab.config('services: { ssh: { port: 22 } }')
    await lab.mustPkctl('reload')
    assert.equal(await lab.opens(server4, client4, 8080), 'timeout')
    await daemon.says(/web is no longer in the configuration; its port stays closed until pkctl remove web/)
  })

  it('works with services made and removed by command while it runs', async () => {
    await lab.daemon(lab.config(`credentials:\n  ${laptop}`))
    assert.equal(await knock(), 'open', 'nothing is guarded yet')
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(await knock(), 'open')
    await lab.mustPkctl('remove', 'ssh')
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--hook', 'prerouting')
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(await knock(), 'open')
    assert.equal(await knock({ to: server6, from: client6 }), 'open')
  })

  it('merges conf.d, and reads keys from files', async () => {
    const file = lab.config(services)
    lab.file(
      'conf.d/keys.yaml',
      'credentials:\n  laptop: { type: pkd, tag: SSHK, key-file: ../laptop.key, opens: [ssh] }\n',
    )
    lab.file('laptop.key', 'a key of my own\n')
    await lab.daemon(file)
    assert.equal(await knock({ key: 'a key of my own' }), 'open')
  })

  it('refuses right knocks while it cannot remember them, and takes them again when it can', async () => {
    const state = path.join(lab.directory, 'state')
    fs.mkdirSync(state)
    await must(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', state])
    try {
      const daemon = await lab.daemon(lab.config(plain.replace('opens: [ssh]', 'skew: 60, $&')))
      const filler = path.join(state, 'filler')
      assert.throws(() => {
        for (let i = 0; i < 100; i++) fs.appendFileSync(filler, Buffer.alloc(4096))
      }, /ENOSPC/)
      // A machine may be slow: the copy at the end must not be too old to be known as one.
      const hex = knockHex()
      assert.equal(await knock({ hex }), 'timeout')
      await daemon.says(/refused: the state directory cannot be written/)
      assert.deepEqual(await refused(), { 'state-unwritable': 1 })
      fs.rmSync(filler)
      assert.equal(await knock({ hex }), 'timeout', 'used up')
      assert.equal(await knock(), 'open')
      await daemon.stop()
      await lab.daemon(path.join(lab.directory, 'pkctl.yaml'))
      assert.equal(await knock({ hex, from: stranger4 }), 'timeout', 'also after a restart')
      assert.equal((await refused())['replayed'], 1)
    } finally {
      await must(['umount', '-l', state])
    }
  })

  it('a connection right behind its knock waits for the answer, however long that takes', async () => {
    const daemon = await lab.daemon(lab.config(plain))
    daemon.child.kill('SIGSTOP')
    const connecting = knock()
    await sleep(400)
    daemon.child.kill('SIGCONT')
    assert.equal(await connecting, 'open', 'without a repeated SYN, which comes after a second')
    assert.equal((await status()).waitedConnections, 1)
  })

  it('shows in its status what it did', async () => {
    await lab.daemon(lab.config(plain))
    assert.equal(await knock(), 'open')
    assert.equal(await knock({ key: 'wrong' }), 'open', 'still granted')
    const now = await status()
    assert.equal(now.knocks.accepted, 1)
    assert.deepEqual(now.knocks.refused, { 'bad-hash': 1 })
    assert.deepEqual(now.services, [{ name: 'ssh', grants: 1 }])
    assert.equal(now.queue.number, 62)
    assert.equal(now.queue.waiting, 0)
    const text = await lab.mustPkctl('status')
    assert.match(text, /queue 62/)
    assert.match(text, /1 accepted, refused: 1 bad-hash/)
    assert.match(text, /ssh \(1 granted\)/)
  })
})
