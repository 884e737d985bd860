/** Service chains as an administrator, cron or Ansible would use them: without the daemon, on the real kernel. */
import assert from 'node:assert/strict'
import * as os from 'node:os'
import path from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { must, pkctl, root, sleep, slowness } from '../support/commands.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'

const raceProgram = path.join(root, 'test/support/race-syns.py')

interface Listed {
  readonly name: string
  readonly sound: boolean
  readonly refusedPackets: number
  readonly admittedPackets: number
  readonly grants: readonly { source: string; by: string; secondsLeft: number | null; who?: string; at?: string }[]
}

describe('service chains', () => {
  let lab: Lab

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22, 2222, 6005, 8080)
  })
  after(() => lab.remove())
  afterEach(async () => {
    for (const { name } of await list()) await lab.mustPkctl('remove', name)
  })

  const list = async (...name: string[]) =>
    (JSON.parse(await lab.mustPkctl('list', '--json', ...name)) as { services: Listed[] }).services
  const change = async (...args: string[]) => JSON.parse(await lab.mustPkctl(...args, '--json')) as { changed: boolean }
  const ruleset = async () => (await lab.on(['nft', 'list', 'ruleset'])).stdout

  const echo = async (host: string, from: string, port: number) =>
    (await lab.peer({ echo: { host, port, from, text: 'ping' } }))[0]?.result

  it('init closes, add opens for one address, delete closes, remove opens for all', async () => {
    for (const [host, own, other] of [
      [server4, client4, stranger4],
      [server6, client6, stranger6],
    ] as const) {
      assert.deepEqual((await change('init', 'ssh', '--port', '22', '--syn')).changed, true)
      assert.equal(await lab.opens(host, own), 'timeout')
      assert.equal(await lab.opens(host, own, 2222), 'open', 'other ports are not touched')
      await lab.mustPkctl('add', own, '--service', 'ssh')
      assert.equal(await lab.opens(host, own), 'open')
      assert.equal(await lab.opens(host, other), 'timeout')
      await lab.mustPkctl('delete', '--service', 'ssh', own)
      assert.equal(await lab.opens(host, own), 'timeout')
      await lab.mustPkctl('remove', 'ssh')
      assert.equal(await lab.opens(host, own), 'open')
      assert.equal(await ruleset(), '', 'nothing is left behind')
    }
  })

  it('a change that does not come to nft as a whole is an error, and changes nothing', async () => {
    // An empty batch is a success to nft.
    const options = { env: { PATH: `${lab.directory}/broken:${process.env['PATH']}` } }
    for (const cat of ['exit 126', 'head -c 20; kill -9 $$', 'head -c 20; exit 1']) {
      lab.file('broken/cat', `#!/bin/sh\n${cat}\n`, 0o755)
      const { status, stderr } = await lab.on([process.execPath, pkctl, 'init', 'ssh', '--port', '22'], options)
      assert.equal(status, 1, `${cat}: ${stderr}`)
      assert.match(stderr, /^pkctl: error: nft/)
      assert.equal(await ruleset(), '')
    }
  })

  it('says so when there is nothing to do, and exits 0', async () => {
    for (const [args, said] of [
      [
        ['init', 'ssh', '--port', '22', '--syn', '--allow', '192.0.2.0/24', '--allow', '2001:db8::/32', '--log'],
        /protects 22/,
      ],
      [['add', '192.0.2.77', '--service', 'ssh'], /may use ssh/],
      [['add', '--service', 'ssh', '2001:DB8:0::77'], /2001:db8::77 may use ssh/],
      [['delete', '192.0.2.77', '--service', 'ssh'], /no longer|no grant/],
      [['remove', 'ssh'], /removed|no service/],
    ] as const) {
      const first = await lab.mustPkctl(...args)
      assert.match(first, said)
      assert.doesNotMatch(first, /nothing to do/)
      const before = await ruleset()
      const second = await lab.mustPkctl(...args)
      assert.match(second, /^nothing to do: /)
      assert.match(second, said)
      assert.equal(await ruleset(), before)
    }
    assert.equal((await change('remove', 'ssh')).changed, false)
  })

  it('a second init with other options changes the service in place, and keeps its grants', async () => {
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
    await lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '1h')
    const said = await lab.mustPkctl('init', 'ssh', '--port', '22', '--port', '2222', '--syn', '--reject', 'reset')
    assert.match(said, /ports: 22 -> 22,2222/)
    assert.match(said, /closing: drop -> reset/)
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal(await lab.opens(server4, stranger4), 'reset')
    assert.equal(await lab.opens(server4, stranger4, 2222), 'reset')
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--prefix4', '31')
    assert.equal(await lab.opens(server4, stranger4), 'open', '10.77.0.2/31 holds both')
    assert.equal(await lab.opens(server4, stranger4, 2222), 'open', '2222 is not guarded any more')
  })

  it('a grant ends by itself, and adding it again gives it its time anew', async () => {
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
    await lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '3s')
    await sleep(2000)
    await lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '3s')
    await sleep(2000)
    assert.equal(await lab.opens(server4, client4), 'open', 'extended')
    await sleep(1500)
    assert.equal(await lab.opens(server4, client4), 'timeout', 'ended')
    assert.match(await lab.mustPkctl('delete', client4, '--service', 'ssh'), /nothing to do/)
    assert.match(await lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '3s'), /may use/)
  })

  it('needs no --service where there is only one, and names them where there are several', async () => {
    const without = await lab.pkctl('add', client4)
    assert.equal(without.status, 2)
    assert.match(without.stderr, /error: there is no service\n.*hint: pkctl init NAME/)
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
    assert.equal(await lab.mustPkctl('add', client4, '--for', '1h30m'), `${client4} may use ssh for 90 min\n`)
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal(await lab.mustPkctl('delete', client4), `${client4} may no longer use ssh\n`)
    await lab.mustPkctl('init', 'web', '--port', '80', '--syn')
    for (const verb of ['add', 'delete']) {
      const { status, stderr } = await lab.pkctl(verb, client4)
      assert.equal(status, 2)
      assert.match(stderr, /--service is missing, and there are several services\n.*hint: they are ssh, web\n/)
    }
    assert.deepEqual((await lab.mustPkctl('list')).match(/granted: none/g)?.length, 2)
  })

  it('grants a prefix, all addresses of a host, and until a time', async () => {
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--prefix4', '24')
    assert.equal(await lab.mustPkctl('add', '10.77.0.0/24'), '10.77.0.0/24 may use ssh\n')
    assert.equal(await lab.opens(server4, stranger4), 'open')
    const refused = await lab.pkctl('add', '10.77.0.0/16')
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, /error: service ssh grants only IPv4 prefixes of 24 bits, .*\n.*hint: .*prefix4/)
    await lab.mustPkctl('delete', '10.77.0.0/24')
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
    const hosts = lab.file('hosts', `${client4} home.lab\n${client6} home.lab\n`)
    const named = (...args: string[]) =>
      lab.on([
        'unshare',
        '--mount',
        'sh',
        '-c',
        `mount --bind ${hosts} /etc/hosts && exec "$@"`,
        'sh',
        process.execPath,
        pkctl,
        ...args,
      ])
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString().replace(/:\d\d\.\d{3}Z/, 'Z')
    const { stdout, stderr } = await named('add', 'home.lab', '--until', tomorrow)
    assert.match(stdout, /^home\.lab is \S+ and \S+\n(\S+ may use ssh for 2[34] h( \d+ min)?\n){2}$/, stderr)
    for (const [host, own, other] of [
      [server4, client4, stranger4],
      [server6, client6, stranger6],
    ] as const) {
      assert.equal(await lab.opens(host, own), 'open')
      assert.equal(await lab.opens(host, other), 'timeout')
    }
    const json = JSON.parse((await named('add', 'home.lab', '--json')).stdout) as { host: string; addresses: object[] }
    assert.deepEqual([json.host, json.addresses.length], ['home.lab', 2])
    for (const [args, error] of [
      [['--until', '2001-01-01T00:00Z'], /--until is over/],
      [['--until', '18:00', '--for', '1h'], /exclude each other/],
    ] as const)
      assert.match((await lab.pkctl('add', client4, ...args)).stderr, error)
  })

  it('lists services, grants with their time left, and counters', async () => {
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
    await lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '10m')
    await lab.mustPkctl('add', client6, '--service', 'ssh')
    await lab.opens(server4, client4)
    // Gives up long before the SYN is repeated, also where all is slow.
    await lab.peer({ connect: { host: server4, port: 22, from: stranger4, timeout: 300 } })
    const [ssh] = await list('ssh')
    assert.ok(ssh?.sound)
    assert.equal(ssh.admittedPackets, 1)
    assert.equal(ssh.refusedPackets, 1)
    const [first, second] = ssh.grants
    assert.equal(first?.source, client4)
    assert.ok(first.secondsLeft !== null && first.secondsLeft > 590 && first.secondsLeft <= 600)
    const { at, who, ...rest } = second ?? {}
    assert.deepEqual(rest, { source: client6, by: 'hand', secondsLeft: null })
    assert.deepEqual([who, Math.abs(Date.now() - Date.parse(at ?? '')) < 3_600_000], [os.userInfo().username, true])
    assert.match(await lab.mustPkctl('list'), /granted: 10\.77\.0\.2 +9 min \d+ s left/)
  })

  it('--dry-run prints the transaction, which nft takes as it is, and touches nothing', async () => {
    const printed = await lab.mustPkctl('init', 'ssh', '--port', '22', '--dry-run')
    assert.equal(await ruleset(), '')
    const file = lab.file('transaction.json', printed)
    assert.equal((await lab.on(['nft', '-j', '-f', file])).status, 0)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.match(await lab.mustPkctl('init', 'ssh', '--port', '22'), /nothing to do/)
    const json = JSON.parse(await lab.mustPkctl('remove', 'ssh', '--dry-run', '--json')) as Record<string, unknown>
    assert.equal(json['changed'], true)
    assert.equal(json['dry-run'], true)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  it('rejects as asked', async () => {
    // The kernel sends one ICMP error a second to one address, and this asks for more.
    await lab.on(['sysctl', '-qw', 'net.ipv4.icmp_ratelimit=0', 'net.ipv6.icmp.ratelimit=0'])
    for (const [how, tcp, udp] of [
      ['drop', 'timeout', 'timeout'],
      ['reset', 'reset', 'unreachable'],
      ['icmp', 'reset', 'unreachable'],
    ] as const) {
      for (const hook of ['input', 'prerouting']) {
        await lab.mustPkctl('init', 'both', '--port', '8080', '--protocol', 'any', '--reject', how, '--hook', hook)
        for (const [host, own] of [
          [server4, client4],
          [server6, client6],
        ] as const) {
          // An ICMP error that comes back within connect() is only noted; the repeated SYN, a second later, gets it told.
          const [connected] = await lab.peer({
            connect: { host, port: 8080, from: own, timeout: tcp === 'timeout' ? 700 : 4000 },
          })
          assert.equal(connected?.result, tcp, `${how} tcp ${hook} ${host}`)
          assert.equal(await echo(host, own, 8080), udp, `${how} udp ${hook} ${host}`)
        }
      }
    }
  })

  it('--accept only watches', async () => {
    await lab.mustPkctl('init', 'watch', '--port', '8080', '--accept')
    assert.equal(await lab.opens(server4, client4, 8080), 'open')
    const [watch] = await list('watch')
    assert.ok(watch && watch.refusedPackets > 0)
  })

  it('guards UDP, ranges and several ports', async () => {
    await lab.mustPkctl('init', 'many', '--port', '22,2222', '--port', '6000-6010', '--udp')
    assert.equal(await echo(server4, client4, 6005), 'timeout')
    assert.equal(await echo(server4, client4, 2222), 'timeout')
    assert.equal(await echo(server4, client4, 8080), 'echoed')
    assert.equal(await lab.opens(server4, client4, 6005), 'open', 'TCP is another matter')
    await lab.mustPkctl('init', 'alone', '--port', '8080', '--udp')
    assert.equal(
      await echo(server4, client4, 6005),
      'timeout',
      'a service without ranges does not open those of others',
    )
    await lab.mustPkctl('add', client4, '--service', 'many')
    assert.equal(await echo(server4, client4, 6005), 'echoed')
  })

  it('with --syn connections outlive their grant, without it they end with it', async () => {
    // Longer than it takes to begin a connection.
    const life = slowness > 1 ? 6 : 1
    for (const [flags, want] of [
      [['--syn'], 'held'],
      [[], 'cut'],
    ] as const) {
      await lab.mustPkctl('init', 'ssh', '--port', '22', ...flags)
      await lab.mustPkctl('add', client4, '--service', 'ssh', '--for', `${life}s`)
      const hold = life * 1000 + 800
      const [outcome] = await lab.peer({ connect: { host: server4, port: 22, from: client4, hold } })
      assert.equal(outcome?.result, want)
    }
  })

  it('--allow lets in always, --single-use lets in once', async () => {
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--allow', `${client4}/32,${client6}`, '--single-use')
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal(await lab.opens(server6, client6), 'open')
    await lab.mustPkctl('add', stranger4, '--service', 'ssh')
    assert.equal(await lab.opens(server4, stranger4), 'open')
    assert.equal(await lab.opens(server4, stranger4), 'timeout', 'used up')
    await lab.mustPkctl('add', stranger6, '--service', 'ssh')
    assert.equal(await lab.opens(server6, stranger6), 'open')
    assert.equal(await lab.opens(server6, stranger6), 'timeout', 'used up')
  })

  it('is closed to the machine itself, but for sources on the allowlist', async () => {
    const own: readonly (readonly [string, string])[] = [
      ['127.0.0.1', '127.0.0.0/8'],
      [server4, server4],
      ['::1', '::1'],
      [server6, server6],
    ]
    const opens = async (host: string) => {
      const target = host.includes(':') ? `TCP6:[${host}]:22` : `TCP4:${host}:22`
      return (await lab.on(['socat', '-u', '/dev/null', `${target},connect-timeout=0.3`])).status === 0
    }
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
    for (const [host] of own) assert.equal(await opens(host), false, host)
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', ...own.flatMap(([, source]) => ['--allow', source]))
    for (const [host] of own) assert.equal(await opens(host), true, host)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  it('--single-use: of two SYNs at the same instant on two processors, one gets in', async t => {
    if (os.availableParallelism() < 2) {
      t.skip('one processor')
      return
    }
    const pairs = 3000
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--single-use')
    const sources = Array.from({ length: pairs }, (_, i) => `10.99.${i >> 8}.${i & 255}`)
    const grant = `add element inet pkctl pk-ssh.add-4 { ${sources.join(', ')} }`
    await must(['ip', 'netns', 'exec', lab.server, 'nft', '-f', lab.file('grants.nft', `${grant}\n`)])
    const hardware = async (on: typeof lab.on, device: string) =>
      (await on(['cat', `/sys/class/net/${device}/address`])).stdout.trim()
    const [from, to] = [await hardware(lab.from.bind(lab), 'c0'), await hardware(lab.on.bind(lab), 's0')]
    const { status, stderr } = await lab.from(['python3', raceProgram, 'c0', from, to, String(pairs)])
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal((await list('ssh'))[0]?.admittedPackets, pairs)
  })

  it('--syn: FIN, NULL and Xmas scans do not tell whether a program listens', async () => {
    await lab.serve(2223)
    await lab.mustPkctl('init', 'two', '--port', '2223', '--port', '2224', '--syn')
    for (const scan of ['-sF', '-sN', '-sX', '-sM', '-sS']) {
      const args = ['-n', '-Pn', scan, '--max-retries', '0', '--host-timeout', '20s', '-p', '2223,2224', '-oG', '-']
      const { stdout } = await lab.from(['nmap', ...args, server4])
      const states = [...stdout.matchAll(/(2223|2224)\/([a-z|]+)\//g)].map(([, , state]) => state)
      assert.equal(new Set(states).size, 1, `${scan}: ${stdout}`)
    }
  })

  it('--single-use: repeating the SYN of the one connection does not make it many', async () => {
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--port', '2222', '--syn', '--single-use')
    await lab.mustPkctl('add', client4, '--service', 'ssh')
    const connect = (port: number) => ({ connect: { host: server4, port, from: client4, sourcePort: 5555 } })
    const outcomes = await lab.peer(connect(22), connect(2222), connect(22))
    assert.deepEqual(outcomes.map(({ result }) => result).slice(0, 2), ['open', 'timeout'])
    const listed = (await lab.on(['nft', 'list', 'set', 'inet', 'pkctl', 'pk-ssh.used-4'])).stdout
    assert.match(listed, /timeout 35s expires/, 'a time that is not extended by what is repeated')
  })

  it('on prerouting, guards what comes by broadcast and multicast, too', async () => {
    await lab.mustPkctl('init', 'dns', '--port', '8080', '--udp', '--hook', 'prerouting')
    const counters = async () => (await list('dns'))[0]?.refusedPackets ?? 0
    const before = await counters()
    const broadcast = ['socat', '-u', '-', 'UDP4-DATAGRAM:10.77.0.255:8080,broadcast']
    await lab.from(broadcast, { input: 'x' })
    await lab.from(['socat', '-u', '-', 'UDP6-DATAGRAM:[ff02::1%c0]:8080'], { input: 'x' })
    assert.equal(await counters(), before + 2)
  })

  it('grants prefixes where asked', async () => {
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--prefix4', '24', '--prefix6', '64')
    await lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '60')
    await lab.mustPkctl('add', client6, '--service', 'ssh', '--for', '60')
    assert.equal(await lab.opens(server4, stranger4), 'open')
    assert.equal(await lab.opens(server6, stranger6), 'open')
    assert.match(await lab.mustPkctl('list'), /10\.77\.0\.0\/24.*fd77::\/64/s)
    await lab.mustPkctl('delete', stranger4, '--service', 'ssh')
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  it('--log logs with its prefix, level and limit', async () => {
    const flags = [
      '--log',
      '--log-prefix',
      'knock? ',
      '--log-level',
      'notice',
      '--log-limit',
      '3/hour',
      '--log-burst',
      '7',
    ]
    await lab.mustPkctl('init', 'ssh', '--port', '22', ...flags)
    assert.match(await ruleset(), /limit rate 3\/hour burst 7 packets log prefix "knock\? " level notice/)
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--log', '--log-limit', 'none')
    assert.match(await ruleset(), /\tlog prefix "pk-ssh " level info/)
    assert.match(await lab.mustPkctl('init', 'ssh', '--port', '22', '--log', '--log-limit', 'none'), /nothing to do/)
  })

  it('leaves the tables of others alone', async () => {
    const foreign =
      'table inet other {\n\tchain c {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\n'
    await lab.on(['nft', '-f', lab.file('other.nft', foreign)])
    await lab.mustPkctl('init', 'ssh', '--port', '22')
    await lab.mustPkctl('remove', 'ssh')
    assert.equal(await ruleset(), foreign)
    await lab.on(['nft', 'delete', 'table', 'inet', 'other'])
  })

  it('keeps every service when commands run at the same time', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `s${i}`)
    await Promise.all(names.map((name, i) => lab.mustPkctl('init', name, '--port', String(3000 + i))))
    assert.deepEqual((await list()).map(({ name }) => name).sort(), [...names].sort())
    await Promise.all([
      ...names.slice(0, 6).map(name => lab.mustPkctl('remove', name)),
      lab.mustPkctl('init', 'range', '--port', '4000-4100'),
      ...names.slice(6).map(name => lab.mustPkctl('add', client4, '--service', name)),
    ])
    const left = await list()
    assert.deepEqual(left.map(({ name }) => name).sort(), ['range', ...names.slice(6)].sort())
    assert.ok(left.every(({ sound }) => sound))
  })

  it('a service somebody edited is shown as damaged, and mended by init', async () => {
    await lab.mustPkctl('init', 'ssh', '--port', '22')
    await lab.on(['nft', 'delete', 'element', 'inet', 'pkctl', 'services-input', '{ tcp . 22 }'])
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.match(await lab.mustPkctl('list'), /damaged/)
    assert.match(await lab.mustPkctl('init', 'ssh', '--port', '22'), /restored/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    await lab.mustPkctl('init', 'range', '--port', '6000-6010')
    const rules = (await lab.on(['nft', '-a', 'list', 'chain', 'inet', 'pkctl', 'gate-input'])).stdout
    const handle = /@services-input # handle (\d+)/.exec(rules)?.[1] ?? ''
    await lab.on(['nft', 'delete', 'rule', 'inet', 'pkctl', 'gate-input', 'handle', handle])
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.match(await lab.mustPkctl('init', 'ssh', '--port', '22'), /restored/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })
})
