/** pktables as knockd's users have it: scripts at boot, commands by hand, and knockd itself with a knockd.conf. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Result } from '../support/commands.js'
import { program, slowness, until } from '../support/commands.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'

const pktables = program('pktables')

describe('pktables', () => {
  let lab: Lab
  let withPath: { env: { PATH: string } }

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22, 500, 2222)
    lab.file('bin/pktables', `#!/bin/sh\nexec ${process.execPath} ${pktables} "$@"\n`, 0o755)
    withPath = { env: { PATH: `${lab.directory}/bin:/usr/sbin:${process.env['PATH']}` } }
  })
  after(() => lab.remove())
  afterEach(() => lab.on(['nft', 'delete', 'table', 'inet', 'pkctl']))

  const call = (...args: string[]): Promise<Result> => lab.on(['pktables', ...args], withPath)

  /** Runs it to its good end. */
  async function must(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await call(...args)
    assert.equal(status, 0, `pktables ${args.join(' ')}: ${stdout}${stderr}`)
    return stdout
  }

  interface Listed {
    readonly name: string
    readonly sound: boolean
    readonly log: object | null
    readonly grants: readonly { source: string; secondsLeft: number | null; at: string }[]
  }
  const services = async () => (JSON.parse(await lab.mustPkctl('list', '--json')) as { services: Listed[] }).services
  const granted = async () => (await services()).flatMap(({ grants }) => grants.map(({ source }) => source)).sort()
  const ruleset = async () => (await lab.on(['nft', '-s', 'list', 'ruleset'])).stdout
  const echo = async (from: string) =>
    (await lab.peer({ echo: { host: server4, port: 500, from, text: 'ping' } }))[0]?.result

  it('init closes, add opens for one address, delete closes, remove opens for all, and none of them says a word', async () => {
    for (const [host, own, other] of [
      [server4, client4, stranger4],
      [server6, client6, stranger6],
    ] as const) {
      const quietly = async (...args: string[]) =>
        assert.deepEqual(await call(...args), { status: 0, stdout: '', stderr: '' })
      await quietly('init', 'ssh', '--port', '22', '--syn')
      assert.equal(await lab.opens(host, own), 'timeout')
      assert.equal(await lab.opens(host, own, 2222), 'open', 'other ports are not touched')
      await quietly('add', own, '--service', 'ssh')
      assert.equal(await lab.opens(host, own), 'open')
      assert.equal(await lab.opens(host, other), 'timeout')
      await quietly('delete', own, '--service', 'ssh')
      assert.equal(await lab.opens(host, own), 'timeout')
      await quietly('remove', 'ssh')
      assert.equal(await lab.opens(host, own), 'open')
      assert.equal(await ruleset(), '', 'nothing is left behind')
    }
  })

  it('init leaves a service that is there as it is, whatever the options, and says so', async () => {
    await must('init', 'ssh', '--port', '22', '--syn')
    await must('add', client4, '--service', 'ssh')
    const before = await ruleset()
    for (const options of [
      ['--port', '22', '--syn'],
      ['--port', '2222'],
      ['--udp', '--port', '22', '--accept', '--log'],
    ]) {
      assert.equal(await must('init', 'ssh', ...options), 'chain pk-ssh already exists, nothing changed\n')
      assert.equal(await ruleset(), before)
    }
    await lab.on(['nft', 'delete', 'element', 'inet', 'pkctl', 'services-input', '{ tcp . 22 }'])
    assert.match((await call('init', 'ssh', '--port', '22', '--syn')).stderr, /pktables: warning: .* pkctl init ssh/)
  })

  it('init of one service by many at once makes one of them', async () => {
    const ports = Array.from({ length: 8 }, (_, i) => String(3000 + i))
    const said = await Promise.all(ports.map(port => must('init', 'one', '--port', port, '--syn')))
    assert.equal(said.filter(text => text === '').length, 1)
    assert.equal(said.filter(text => text.includes('already exists')).length, ports.length - 1)
    assert.deepEqual(
      (await services()).map(({ sound }) => sound),
      [true],
    )
  })

  it('arguments stand in either order, the prefix is cut off, and what is done already is done again without effect', async () => {
    const cases: readonly (readonly [words: string[], left: string[]])[] = [
      [['init', '--port', '22', '--syn', 'ssh'], []],
      [['delete', '192.0.2.1', '--service', 'ssh'], []],
      [['add', '192.0.2.1', '--service', 'ssh'], ['192.0.2.1']],
      [['add', '--service', 'ssh', '192.0.2.1'], ['192.0.2.1']],
      [['add', '--service=ssh', '192.0.2.1/24'], ['192.0.2.1']],
      [
        ['add', '192.0.2.9/32', '--service', 'ssh'],
        ['192.0.2.1', '192.0.2.9'],
      ],
      [
        ['add', '--service', 'ssh', '2001:DB8:0::7/64'],
        ['192.0.2.1', '192.0.2.9', '2001:db8::7'],
      ],
      [
        ['add', '2001:db8::7', '--service', 'ssh'],
        ['192.0.2.1', '192.0.2.9', '2001:db8::7'],
      ],
      [
        ['delete', '--service', 'ssh', '192.0.2.10'],
        ['192.0.2.1', '192.0.2.9', '2001:db8::7'],
      ],
      [
        ['delete', '--service', 'ssh', '192.0.2.1/8', '--debug'],
        ['192.0.2.9', '2001:db8::7'],
      ],
      [['delete', '2001:db8::7', '--service', 'ssh'], ['192.0.2.9']],
      [['delete', '--service', 'ssh', '2001:db8::7/128'], ['192.0.2.9']],
    ]
    for (const [words, left] of cases) {
      assert.equal(await must(...words), '', words.join(' '))
      assert.deepEqual(await granted(), left, words.join(' '))
    }
    assert.equal(await must('remove', 'ssh'), '')
    assert.equal(await must('remove', 'ssh'), 'there is no chain pk-ssh\n')
  })

  it('the order of addresses does not matter, and parallel deletes take away nothing else', async () => {
    await must('init', 'ssh', '--port', '22', '--syn')
    const stay = ['9.255.0.1', '10.0.200.1', '10.0.3.255', '100.2.3.4', client4]
    const go = ['9.1.1.1', '10.0.200.2', '10.0.3.1', '99.200.3.4', '2.2.2.2', 'fd77::9']
    await Promise.all([...go, ...stay].map(address => must('add', address, '--service', 'ssh')))
    const rules = /chain pk-ssh \{.*?\n\t\}/s.exec(await ruleset())?.[0]
    await Promise.all([...go, ...go].map(address => must('delete', address, '--service', 'ssh')))
    assert.deepEqual(await granted(), [...stay].sort())
    assert.equal(/chain pk-ssh \{.*?\n\t\}/s.exec(await ruleset())?.[0], rules)
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
  })

  it('a grant has no end, also where pkctl gave it one', async () => {
    await must('init', 'ssh', '--port', '22', '--syn')
    await lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '60')
    await must('add', client4, '--service', 'ssh')
    const [ssh] = await services()
    const [{ at, ...grant } = { at: '' }] = ssh?.grants ?? []
    assert.deepEqual(grant, { source: client4, by: 'hand', secondsLeft: null, who: 'root' })
    assert.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\dZ$/)
  })

  it('with --syn connections outlive their address, without it they end with it', async () => {
    // Longer than the commands take meanwhile.
    const hold = slowness > 1 ? 15_000 : 4000
    for (const [flags, want] of [
      [['--syn'], 'held'],
      [[], 'cut'],
    ] as const) {
      await must('init', 'ssh', '--port', '22', ...flags)
      await must('add', client4, '--service', 'ssh')
      const running = lab.peer({ connect: { host: server4, port: 22, from: client4, hold } })
      await until(
        async () => (await must('list')).includes(' accepted') && !(await must('list')).includes(' 0 accepted'),
      )
      await must('delete', client4, '--service', 'ssh')
      assert.equal((await running)[0]?.result, want)
      await must('remove', 'ssh')
    }
  })

  it('takes names and ports as iptables took them', async () => {
    const ports = { 53: '53', isakmp: '500', '6000:6010': '6000-6010', '65000:': '65000-65535', ':49': '1-49' }
    await Promise.all(Object.keys(ports).map((port, i) => must('init', `s${i}`, '--udp', '--port', port)))
    const listed = await must('list')
    for (const [i, port] of Object.values(ports).entries()) {
      assert.match(listed, new RegExp(`^s${i}  ${port}/udp  all packets, else drop`, 'm'))
    }
    await must('remove', 's1')
    await must('init', 'isakmp', '--port', '500', '--udp')
    assert.equal(await echo(client4), 'timeout')
    await must('add', '--service', 'isakmp', client4)
    assert.equal(await echo(client4), 'echoed')
    assert.equal(await echo(stranger4), 'timeout')
  })

  it('--accept only watches', async () => {
    await must('init', 'ssh', '--port', '22', '--accept')
    assert.equal(await lab.opens(server4, stranger4), 'open')
    assert.match(await must('list'), /^ssh {2}22\/tcp {2}all packets, only watched.*packets: 0 accepted, [1-9]/s)
  })

  const plain = { prefix: '', level: 'warn', rate: null, burst: 0 }
  const limited = (count: number, unit: string, burst = 5) => ({ ...plain, rate: { count, unit }, burst })
  const logs: readonly (readonly [flags: string, log: object | null])[] = [
    ['', null],
    ['--log-prefix unused --log-limit 5/min', null],
    ['--log', plain],
    ['--log --log-burst 9', plain],
    ['--log --log-prefix ssh: --log-level info', { ...plain, prefix: 'ssh:', level: 'info' }],
    ['--log --log-level 3', { ...plain, level: 'err' }],
    ['--log --log-level error', { ...plain, level: 'err' }],
    ['--log --log-level panic', { ...plain, level: 'emerg' }],
    ['--log --log-limit 5/second', limited(5, 'second')],
    ['--log --log-limit 5/minute', limited(5, 'minute')],
    ['--log --log-limit 5/min', limited(5, 'minute')],
    ['--log --log-limit 5/m', limited(5, 'minute')],
    ['--log --log-limit 5/MIN', limited(5, 'minute')],
    ['--log --log-limit 3/h', limited(3, 'hour')],
    ['--log --log-limit 2/day', limited(2, 'day')],
    ['--log --log-limit 7', limited(7, 'second')],
    ['--log --log-limit 3/h --log-burst 12', limited(3, 'hour', 12)],
  ]
  it('logs as iptables did', async () => {
    const words = (i: number) => ['init', `s${10 + i}`, '--port', String(3000 + i), ...(logs[i]?.[0].split(' ') ?? [])]
    await Promise.all(logs.map((_, i) => must(...words(i).filter(Boolean))))
    const made = await services()
    assert.deepEqual(
      made.map(({ log, sound }) => [log, sound]),
      logs.map(([, log]) => [log, true]),
    )
  })

  it('helps when asked, and when nothing is asked', async () => {
    for (const words of [['help'], [], ['--help']]) {
      const said = await must(...words)
      assert.match(said, /Usage: pktables/)
      for (const name of ['init', 'remove', 'add', 'delete', 'list', 'help']) {
        assert.match(said, new RegExp(`^ {2}${name} `, 'm'))
      }
      assert.match(said, /start_command = pktables add %IP% --service ssh/)
    }
    assert.match(await must('list'), /^no services/)
  })

  const mistakes: readonly (readonly [words: string[], status: number, error: RegExp])[] = [
    [['init', 'ssh'], 2, /'--port <port>' not specified/],
    [['init', '--port', '22'], 2, /missing required argument 'name'/],
    [['init', 'ssh', '--port', '22', '--udp', '--syn'], 2, /cannot be used with/],
    [['init', 'ssh', '--port', 'nowhere'], 2, /no port is known by the name nowhere/],
    [['init', 'ssh', '--port', '0'], 2, /expected a port/],
    [['init', 'ssh', '--port', ':'], 2, /expected a port/],
    [['init', 'ssh', '--port', '9:5'], 2, /lower port first/],
    [['init', 'my ssh', '--port', '22'], 2, /'my ssh' cannot be the name of a service/],
    [['init', 'ssh', '--port', '22', '--log', '--log-limit', '5/week'], 2, /--log-limit takes a rate/],
    [['init', 'ssh', '--port', '22', '--log', '--log-limit', '5/'], 2, /--log-limit takes a rate/],
    [['init', 'ssh', '--port', '22', '--log', '--log-limit', '0/s'], 2, /a rate/],
    [['init', 'ssh', '--port', '22', '--log', '--log-level', '8'], 2, /--log-level takes/],
    [['init', 'ssh', '--port', '22', '--log', '--log-burst', 'x'], 2, /--log-burst takes a number/],
    [['init', 'web2', '--port', '443'], 1, /port 443 is protected by service web already/],
    [['add', '192.0.2.1'], 2, /'--service <name>' not specified/],
    [['add', '--service', 'web'], 2, /missing required argument 'address'/],
    [['add', 'server.example', '--service', 'web'], 2, /expected an IPv4 or IPv6 address/],
    [['add', '/24', '--service', 'web'], 2, /expected an IPv4 or IPv6 address/],
    [['add', '192.0.2.1', '--service', 'ssh'], 1, /there is no service ssh/],
    [['delete', '192.0.2.1', '--service', 'ssh'], 1, /there is no service ssh/],
    [['frobnicate'], 2, /unknown command 'frobnicate'/],
  ]
  it('mistakes get one clear line and change nothing', async () => {
    await must('init', 'web', '--port', '443', '--syn')
    const before = await ruleset()
    for (const [words, status, error] of mistakes) {
      const result = await call(...words)
      assert.equal(result.status, status, `${words.join(' ')}: ${result.stderr}`)
      assert.match(result.stderr, /^pktables: error: [^A-Z]/)
      assert.match(result.stderr.split('\n')[0] ?? '', error)
      assert.equal(result.stdout, '')
      assert.equal(await ruleset(), before)
    }
  })

  it('a script at boot runs as it is, however often', async () => {
    const script = lab.file(
      'knockd-helper',
      `#!/bin/bash
case "\${1,,}" in
  on|start)
    pktables init ssh --port 22 --syn
    pktables init isakmp --port 500 --udp
    pktables init ipsec --port 4500 --udp
    ;;
  off|stop)
    pktables remove ssh
    pktables remove isakmp
    pktables remove ipsec
    ;;
esac
`,
      0o755,
    )
    const run = (word: string) => lab.on([script, word], withPath)
    assert.deepEqual(await run('start'), { status: 0, stdout: '', stderr: '' })
    assert.deepEqual(
      (await services()).map(({ name }) => name),
      ['ipsec', 'isakmp', 'ssh'],
    )
    assert.equal((await run('START')).stdout.match(/already exists/g)?.length, 3)
    assert.deepEqual(await run('stop'), { status: 0, stdout: '', stderr: '' })
    assert.equal(await ruleset(), '')
  })

  describe('knockd', () => {
    const knock = (...args: string[]) => lab.from(['knock', ...args])

    /** Starts Debian's knockd with a configuration as its users have it. */
    async function knockd(closesAfterSeconds: number): Promise<void> {
      const conf = lab.file(
        'knockd.conf',
        `[options]
        logfile = ${lab.directory}/knockd.log

[opencloseSSH]
        sequence      = 7000,8000:udp,9000
        seq_timeout   = 10
        tcpflags      = syn
        start_command = pktables add %IP% --service ssh
        cmd_timeout   = ${closesAfterSeconds}
        stop_command  = pktables delete %IP% --service ssh
`,
      )
      lab.start('server', ['knockd', '-i', 's0', '-c', conf], withPath)
      // It has opened its packet socket when the kernel lists it.
      await until(async () => (await lab.on(['cat', '/proc/net/packet'])).stdout.trim().split('\n').length > 1)
      await must('init', 'ssh', '--port', '22', '--syn')
    }

    it('opens by its start_command, and closes by its stop_command, over IPv4 and IPv6', async () => {
      await knockd(5)
      for (const [version, host] of [
        ['-4', server4],
        ['-6', server6],
      ] as const) {
        await knock(version, host, '7000', '9000', '8000:udp')
        assert.deepEqual(await granted(), [], 'a wrong sequence')
        await knock(version, host, '7000', '8000:udp', '9000')
        await until(async () => (await granted()).length > 0)
        // Which of its addresses of this version the client knocks from is its own choice.
        const [source = ''] = await granted()
        const own = version === '-4' ? [client4, stranger4] : [client6, stranger6]
        assert.ok(own.includes(source), source)
        assert.equal(await lab.opens(host, source), 'open')
        assert.equal(await lab.opens(host, own.find(each => each !== source) ?? ''), 'timeout')
        await until(async () => (await granted()).length === 0)
        assert.equal(await lab.opens(host, source), 'timeout')
      }
      assert.ok((await services()).every(({ sound }) => sound))
      const log = fs.readFileSync(path.join(lab.directory, 'knockd.log'), 'utf8')
      assert.equal(log.match(/OPEN SESAME/g)?.length, 2, log)
    })
  })
})
